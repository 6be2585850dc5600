"""A shop: orders and customers as files, brought to what each country ordered."""
