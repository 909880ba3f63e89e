module lab/cmd

go 1.24
