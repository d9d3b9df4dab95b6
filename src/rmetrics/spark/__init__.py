"""The optional runner on Apache Spark: the stages of the core per bucket, and the second engine on Spark SQL.

pyspark comes with the extra ``rmetrics[spark]``. The plan and its steps need neither pyspark nor a cluster.
"""
