"""What tests share: servers, systems, an HTTP client, made-up files."""
