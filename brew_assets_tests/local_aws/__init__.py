"""Local AWS: one loopback endpoint that answers as AWS does and really runs what it is asked to run.

moto serves the control planes (S3, IAM, EC2, ECS, Lambda, CloudWatch Logs, Secrets Manager and the rest).
An ECS task is a process here, a Lambda invocation runs under AWS's own runtime client, awslambdaric, in an
environment that stays warm. Tests speak to it by boto3 and watch it by `session.LocalAws`:

    with LocalAws() as aws:
        aws.client("ecs").run_task(...)
        aws.wait_for_task(task_id)
        assert aws.task(task_id).exit_code == 0

It runs as a process of its own (`python -m brew_assets_tests.local_aws`), and every process that it started
ends with it, however it ends.

What it does not show: permissions (IAM is stored, not enforced), networks, limits of memory, processor and
disk, and how long real Fargate takes to start. A container is no namespace: a program that leaves SIGTERM at
its default ends by it here, but as the first process of a real container it would ignore it.
"""
