# PACKAGE: every version of it that apt could install.
available "$1" | sed 's/^/available /'
