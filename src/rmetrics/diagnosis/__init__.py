"""Diagnoses an installation part by part: the program, its folders, the database, the schedule."""
