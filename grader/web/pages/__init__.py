"""What each page shows, read from the gradebook: values for its template, no markup."""
