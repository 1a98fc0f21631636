name = 5 5 #! Missing newline after argument
limits {
