"""What a bug report needs, without secrets and without values of rows."""
