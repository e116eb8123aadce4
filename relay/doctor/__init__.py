"""Would it work here? What is known before a relay runs, and what a platform answers, each with its fix in words."""
