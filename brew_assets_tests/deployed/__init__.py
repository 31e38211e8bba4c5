"""The whole project on a local AWS: daemon, code server and webserver as ECS tasks, runs in tasks of theirs,
batches in Lambdas, bottles in a bucket. For the stories that tests tell, and for `make dev-aws`.
"""
