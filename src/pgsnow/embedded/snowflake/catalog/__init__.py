"""What the emulator knows of tables, views and warehouses beside their rows, and shows of them."""
