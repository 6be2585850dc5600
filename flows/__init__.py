"""What the team writes: one folder per subject, the same four files in each."""
