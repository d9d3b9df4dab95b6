"""What is wrong with an installation, part by part: the program, its folders, the database, the schedule."""
