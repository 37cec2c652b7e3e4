"""Tables, views and warehouses: everything about them but their rows, and how SHOW and DESCRIBE show it."""
