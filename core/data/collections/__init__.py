"""Collections of pictures in the forms that people have them: folders, archives, tables, arrays."""
