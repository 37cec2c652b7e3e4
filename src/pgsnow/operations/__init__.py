"""Operations besides syncing: check, plan, verify, discover, status."""
