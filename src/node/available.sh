# PACKAGE: every version of it that could be installed.
packages_available "$1" | sed 's/^/available /'
