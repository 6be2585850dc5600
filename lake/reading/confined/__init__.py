"""Readers that can exhaust memory, crash or never end, each file in a process of limited memory and time: the worst file costs itself.

`asking` is the side that asks, `work` what the process does; formats that this is for are workbooks, Parquet, Arrow, and large JSON documents. Text that is
read line by line needs none of it. One process serves file after file, and another takes its place where one has to be ended.
"""
