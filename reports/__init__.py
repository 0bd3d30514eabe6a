"""The record format, tables, figures and the report: files in, pictures out."""
