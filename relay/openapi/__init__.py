"""OpenAPI 3.1: routes as values, the document made of them, and a page that shows it to people."""
