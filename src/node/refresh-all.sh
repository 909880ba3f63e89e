# Refreshes the lists of every source, the distribution's and whoever else's.
packages_refresh_all
