//! Create, list, info, extract, rename, delete: one operation a file, on archives and items.
