"""The UI as people see it: Chromium on a real webserver, after the demo."""
