"""What each variable of the root reaches: values that stand nowhere else, looked up where they must arrive.

With mocked providers, once with everything switched on and once with everything the other way round
(values/). A value that the root replaces by a constant is seen here.
"""

import json
from typing import Any

import pytest

from brew_assets_tests.terraform.conftest import VALUES
from brew_assets_tests.terraform.mocked import Mocked
from brew_assets_tests.terraform.program import names_of_values, names_of_variables, without_effect

pytestmark = [pytest.mark.infra, pytest.mark.timeout(900)]

KEY = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
BUCKET_KEY = "arn:aws:kms:us-east-1:123456789012:key/99999999-2222-3333-4444-555555555555"
Path = tuple[str | int, ...]

ARRIVE: list[tuple[str, Path, Any]] = [
    ("kms[0].aws_kms_key.this", ("deletion_window_in_days",), 19),
    # Network
    ("network.aws_vpc.this", ("cidr_block",), "10.77.0.0/16"),
    ("network.aws_subnet.private[2]", ("cidr_block",), "10.77.32.0/20"),
    ("network.aws_cloudwatch_log_group.flow[0]", ("kms_key_id",), KEY),
    # The bucket
    ("s3.aws_s3_bucket.this", ("bucket",), "bottles-of-the-test"),
    ("s3.aws_s3_bucket.this", ("force_destroy",), True),
    ("s3.aws_s3_bucket_versioning.this", ("versioning_configuration", 0, "status"), "Enabled"),
    ("s3.aws_s3_bucket_accelerate_configuration.this[0]", ("status",), "Enabled"),
    (
        "s3.aws_s3_bucket_server_side_encryption_configuration.this",
        ("rule", 0, "apply_server_side_encryption_by_default", 0, "kms_master_key_id"),
        BUCKET_KEY,
    ),
    (
        "s3.aws_s3_bucket_replication_configuration.this[0]",
        ("rule", 0, "destination", 0, "storage_class"),
        "INTELLIGENT_TIERING",
    ),
    (
        "s3.aws_s3_bucket_replication_configuration.this[0]",
        ("rule", 0, "destination", 0, "bucket"),
        "arn:aws:s3:::replica",
    ),
    ("audit[0].aws_s3_bucket.this", ("force_destroy",), True),
    # Image
    ("ecr[0].aws_ecr_repository.this", ("force_delete",), True),
    ("ecr[0].aws_ecr_repository.this", ("encryption_configuration", 0, "kms_key"), KEY),
    # Scratch
    ("efs[0].aws_efs_file_system.this", ("performance_mode",), "maxIO"),
    ("efs[0].aws_efs_file_system.this", ("throughput_mode",), "provisioned"),
    ("efs[0].aws_efs_file_system.this", ("provisioned_throughput_in_mibps",), 37),
    ("efs[0].aws_efs_file_system.this", ("kms_key_id",), KEY),
    ("efs[0].aws_efs_backup_policy.this[0]", ("backup_policy", 0, "status"), "ENABLED"),
    # Database
    ("database.aws_db_instance.this[0]", ("instance_class",), "db.m7g.large"),
    ("database.aws_db_instance.this[0]", ("allocated_storage",), 53),
    ("database.aws_db_instance.this[0]", ("max_allocated_storage",), 311),
    ("database.aws_db_instance.this[0]", ("snapshot_identifier",), "rds:of-the-test-2026-11-22"),
    ("database.aws_db_instance.this[0]", ("multi_az",), True),
    ("database.aws_db_instance.this[0]", ("deletion_protection",), True),
    ("database.aws_db_instance.this[0]", ("skip_final_snapshot",), False),
    ("database.aws_db_instance.this[0]", ("backup_retention_period",), 11),
    ("database.aws_db_instance.this[0]", ("performance_insights_enabled",), True),
    ("database.aws_db_instance.this[0]", ("monitoring_interval",), 60),
    ("database.aws_db_instance.this[0]", ("kms_key_id",), KEY),
    (
        "database.aws_secretsmanager_secret_rotation.this[0]",
        ("rotation_rules", 0, "automatically_after_days"),
        13,
    ),
    # Messages
    ("notifications.aws_secretsmanager_secret.slack", ("recovery_window_in_days",), 9),
    ("notifications.aws_secretsmanager_secret.slack", ("kms_key_id",), KEY),
    ("notifications.aws_secretsmanager_secret_version.slack[0]", ("secret_string_wo_version",), 4),
    (
        'notifications.aws_secretsmanager_secret.api_key["github"]',
        ("description",),
        "Token for a higher rate",
    ),
    (
        'notifications.aws_secretsmanager_secret_rotation.this["slack"]',
        ("rotation_lambda_arn",),
        "arn:aws:lambda:us-east-1:123456789012:function:rotate",
    ),
    ("eventbridge.aws_cloudwatch_event_bus.this[0]", ("name",), "mirror-wired-syncs"),
    ("eventbridge.aws_sqs_queue.triggers", ("kms_master_key_id",), KEY),
    # What runs
    ("ecs.aws_ecs_cluster.this", ("setting", 0, "value"), "enabled"),
    ("lambda.aws_lambda_function.this", ("memory_size",), 2222),
    ("lambda.aws_lambda_function.this", ("timeout",), 777),
    ("lambda.aws_lambda_function.this", ("reserved_concurrent_executions",), 23),
    ("lambda.aws_lambda_function.this", ("architectures",), ["arm64"]),
    ("lambda.aws_lambda_function.this", ("tracing_config", 0, "mode"), "Active"),
    ("dagster.aws_ecs_task_definition.run", ("runtime_platform", 0, "cpu_architecture"), "ARM64"),
    ('dagster.aws_ecs_task_definition.service["webserver"]', ("cpu",), "256"),
    ('dagster.aws_ecs_task_definition.service["webserver"]', ("memory",), "2048"),
    ('dagster.aws_ecs_task_definition.service["daemon"]', ("cpu",), "1024"),
    ('dagster.aws_ecs_task_definition.service["daemon"]', ("memory",), "3072"),
    ('dagster.aws_ecs_task_definition.service["code"]', ("cpu",), "2048"),
    ('dagster.aws_ecs_task_definition.service["code"]', ("memory",), "5120"),
    ('dagster.aws_appautoscaling_target.this["code"]', ("max_capacity",), 6),
    ("dagster.aws_ecs_service.webserver", ("enable_execute_command",), True),
    # What watches
    ("monitoring.aws_cloudwatch_metric_alarm.no_sync[0]", ("threshold",), 71 * 3600),
    ("monitoring.aws_cloudwatch_metric_alarm.lambda_errors", ("threshold",), 7),
    ('monitoring.aws_cloudwatch_metric_alarm.service["daemon-cpu"]', ("threshold",), 61),
    ('monitoring.aws_cloudwatch_metric_alarm.service["code-memory"]', ("threshold",), 67),
    ("monitoring.aws_cloudwatch_metric_alarm.run_memory[0]", ("threshold",), 67),
    ("monitoring.aws_cloudwatch_metric_alarm.database_storage", ("threshold",), 3 * 10**9),
    ("monitoring.aws_cloudwatch_metric_alarm.charges[0]", ("threshold",), 321),
    ("monitoring.aws_budgets_budget.this[0]", ("limit_amount",), "321.0"),
    (
        "monitoring.aws_budgets_budget.this[0]",
        ("notification", 0, "subscriber_email_addresses"),
        ["one@example.com", "two@example.com"],
    ),
    ("monitoring.aws_xray_group.this[0]", ("filter_expression",), 'service("mirror-wired-sync-worker")'),
]

# With the switches the other way round.
ARRIVE_OFF: list[tuple[str, Path, Any]] = [
    ("s3.aws_s3_bucket.this", ("force_destroy",), False),
    ("s3.aws_s3_bucket_versioning.this", ("versioning_configuration", 0, "status"), "Suspended"),
    ("s3.aws_s3_bucket_logging.this[0]", ("target_bucket",), "logs-of-the-test"),
    ("database.aws_rds_cluster.this[0]", ("engine",), "aurora-postgresql"),
    ("database.aws_rds_cluster.this[0]", ("deletion_protection",), False),
    ("database.aws_rds_cluster.this[0]", ("skip_final_snapshot",), True),
    ("database.aws_rds_cluster_instance.this[0]", ("performance_insights_enabled",), False),
    ("database.aws_rds_cluster_instance.this[0]", ("monitoring_interval",), 0),
    ("ecs.aws_ecs_cluster.this", ("setting", 0, "value"), "disabled"),
    ("dagster.aws_ecs_service.webserver", ("enable_execute_command",), False),
    ("lambda.aws_lambda_function.this", ("tracing_config", 0, "mode"), "PassThrough"),
    (
        "lambda.aws_lambda_function.this",
        ("image_uri",),
        "210987654321.dkr.ecr.us-west-2.amazonaws.com/elsewhere:1.2.3",
    ),
    (
        "monitoring.aws_cloudwatch_metric_alarm.database_storage",
        ("dimensions",),
        {"DBClusterIdentifier": "homebrew-bottles-sync-prod-database"},
    ),
]

PROXY, CA, REGISTRY = (
    f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"
    for name in ("proxy", "ca", "registry")
)

SETTINGS = {
    "API_CONSISTENCY_WAIT_SECONDS": "53",
    "API_PUBLIC_KEY": "/opt/company/homebrew-2.pem,/opt/company/homebrew-3.pem",
    "API_TAGS": "x86_64_linux,sonoma",
    "AWS_REGION": "us-east-1",
    "BATCH_SIZE": "55",
    "BOTTLE_REGISTRY_SECRET_NAME": "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf",
    "CA_BUNDLE_FILE": "/opt/company/ca.pem",
    "DAGSTER_URL": "https://dagster.example",
    "DOWNLOAD_CONCURRENCY": "14",
    "DOWNLOAD_TIMEOUT_SECONDS": "222",
    "ECS_CLUSTER_NAME": "mirror-wired",
    "ECS_SPOT_PERCENT": "44",
    "ECS_TASK_DEFINITION": "mirror-wired-run",
    "ECS_TASK_SIZES": "25:1024:2048:21,100:2048:4096:21,*:8192:20480:33",
    "ENABLE_METRICS": "true",
    "ENABLE_NOTIFICATIONS": "true",
    "ENVIRONMENT": "wired",
    "EXCLUDE_FORMULAE": "node@20,deno",
    "EXTERNAL_HASH_FILE_S3_BUCKET": "elsewhere",
    "EXTERNAL_HASH_FILE_S3_KEY": "hashes/known.json",
    "EXTERNAL_HASH_FILE_URL": "https://hashes.example/known.json",
    "FORMULAE_API_URL": "https://formulae.example/api",
    "HTTP_PROXY": "http://proxy.example:3129",
    "INCLUDE_DEPENDENCIES": "false",
    "INCLUDE_DISABLED": "true",
    "LAMBDA_CONCURRENCY": "18",
    "LAMBDA_SYNC_FUNCTION": "mirror-wired-sync-worker",
    "LOG_FORMAT": "text",
    "LOG_GROUP_NAME": "/aws/ecs/mirror-wired/run",
    "LOG_LEVEL": "WARNING",
    "MAX_CONCURRENT_DOWNLOADS": "12",
    "MAX_DOWNLOAD_SIZE_GB": "666",
    "MIRROR_FORMULAE": "git,node@20",
    "NO_PROXY": ",".join(
        (
            *("localhost", "127.0.0.1", "169.254.170.2", "169.254.169.254", ".mirror-wired.internal"),
            *("s3.us-east-1.amazonaws.com", ".s3.us-east-1.amazonaws.com"),
            *("api.ecr.us-east-1.amazonaws.com", ".dkr.ecr.us-east-1.amazonaws.com"),
            *(
                f"{service}.us-east-1.amazonaws.com"
                for service in (
                    *("ecs", "lambda", "logs", "monitoring", "secretsmanager", "sns", "sqs"),
                    *("ssmmessages", "sts"),
                )
            ),
            *("registry.example", "10.0.0.0/8"),
        )
    ),
    "PROGRESS_UPDATE_INTERVAL": "111",
    "PUBLISH": "best_effort",
    "PUBLISH_MAX_MISSING": "52",
    "PUBLISH_MAX_UPSTREAM": "51",
    "RETRY_ATTEMPTS": "5",
    "RETRY_DELAY_SECONDS": "16",
    "S3_ACCELERATE": "true",
    "S3_BUCKET_NAME": "bottles-of-the-test",
    "S3_KMS_KEY_ID": BUCKET_KEY,
    "S3_SSE": "aws:kms",
    "SCHEDULE_ENABLED": "true",
    "SCHEDULE_EXPRESSION": "cron(5 4 ? * MON *)",
    "SIZE_THRESHOLD_GB": "31",
    "SLACK_CHANNEL": "#wired",
    "SLACK_USERNAME": "Wire",
    "SLACK_WEBHOOK_SECRET_NAME": "mirror-wired/slack-webhook",
    "SNS_SECURITY_TOPIC_ARN": "arn:aws:sns:us-west-2:123456789012:security",
    "SNS_TOPIC_ARN": "arn:aws:sns:us-west-2:123456789012:test",
    "SYNC_WINDOW_HOURS": "15",
    "TARGET_PLATFORMS": "monterey,x86_64_linux",
    "TMPDIR": "/mnt/efs",
}
# Dagster's own, and those whose values the mocks make up.
UNKNOWN = {"DAGSTER_", "PGSSLMODE", "ECS_SUBNETS", "ECS_SECURITY_GROUPS", "TRIGGER_"}
SETTINGS_OFF = {
    "ECS_SPOT_PERCENT": "0",
    "ECS_TASK_SIZES": "7:1024:2048:22,*:2048:4096:23",
    "ENABLE_METRICS": "false",
    "ENABLE_NOTIFICATIONS": "false",
    "HTTPS_PROXY": "http://proxy.example:443",
    "NO_PROXY": "localhost,127.0.0.1,169.254.170.2,169.254.169.254,.homebrew-bottles-sync-prod.internal,"
    "s3.us-west-2.amazonaws.com,.s3.us-west-2.amazonaws.com",
    "PUBLISH": "off",
    "PUBLISH_MAX_MISSING": "0",
    "PUBLISH_MAX_UPSTREAM": "50",
    "API_CONSISTENCY_WAIT_SECONDS": "120",
    "SCHEDULE_ENABLED": "false",
    "S3_SSE": "AES256",
    "S3_ACCELERATE": "false",
    "SLACK_WEBHOOK_SECRET_NAME": "homebrew-bottles-sync-prod/slack-webhook",
}
# Log group -> for what it is; they are kept as long as the operator wants.
LOG_GROUPS = 5 + 1 + 2 + 1  # containers, Lambda, database, flow logs


def test_every_variable_has_a_value_of_its_own_here() -> None:
    named = names_of_values((VALUES / "everything.hcl").read_text())
    assert named == names_of_variables() - set(without_effect())
    assert names_of_values((VALUES / "nothing.hcl").read_text()) <= named


@pytest.mark.parametrize(("address", "path", "value"), ARRIVE)
def test_each_value_arrives_at_its_resource(everything: Mocked, address: str, path: Path, value: Any) -> None:
    assert everything.value(address, *path) == value


@pytest.mark.parametrize(("address", "path", "value"), ARRIVE_OFF)
def test_each_switch_arrives_the_other_way_round(
    nothing: Mocked, address: str, path: Path, value: Any
) -> None:
    assert nothing.value(address, *path) == value


def test_every_variable_that_is_a_setting_reaches_it(everything: Mocked, nothing: Mocked) -> None:
    made = {
        name: value
        for name, value in everything.outputs["environment"].items()
        if not name.startswith(tuple(UNKNOWN)) or name == "DAGSTER_URL"
    }
    assert made == SETTINGS
    off = nothing.outputs["environment"]
    assert {name: off[name] for name in SETTINGS_OFF} == SETTINGS_OFF
    assert not {"SNS_TOPIC_ARN", "TMPDIR", "S3_KMS_KEY_ID", "API_TAGS", "API_PUBLIC_KEY"} & off.keys()


def test_the_webserver_may_end_runs_where_it_is_said(everything: Mocked, nothing: Mocked) -> None:
    for mocked, allowed in ((everything, True), (nothing, False)):
        policy = mocked.value('iam.aws_iam_role_policy.this["webserver"]', "policy")
        assert ("ecs:StopTask" in policy) == allowed


def test_former_revisions_are_kept_where_it_is_said(everything: Mocked, nothing: Mocked) -> None:
    for mocked, kept in ((everything, True), (nothing, False)):
        definitions = mocked.of_kind("aws_ecs_task_definition")
        assert [definition.values["skip_destroy"] for definition in definitions] == [kept] * 4


def test_tasks_have_the_image_that_was_named(everything: Mocked, nothing: Mocked) -> None:
    for mocked, image in (
        (everything, "123456789012.dkr.ecr.us-west-2.amazonaws.com/test:7.8.9"),
        (nothing, "210987654321.dkr.ecr.us-west-2.amazonaws.com/elsewhere:1.2.3"),
    ):
        definitions = mocked.of_kind("aws_ecs_task_definition")
        assert len(definitions) == 4
        for definition in definitions:
            (container,) = json.loads(definition.values["container_definitions"])
            assert container["image"] == image, definition.address
    # SSM's agent writes into the webserver's root.
    read_only = {
        definition.values["family"]: json.loads(definition.values["container_definitions"])[0][
            "readonlyRootFilesystem"
        ]
        for definition in everything.of_kind("aws_ecs_task_definition")
    }
    assert [family for family, closed in read_only.items() if not closed] == ["mirror-wired-webserver"]


def test_logs_are_kept_as_long_as_the_operator_wants(everything: Mocked) -> None:
    groups = everything.of_kind("aws_cloudwatch_log_group")
    assert len(groups) == LOG_GROUPS
    kept = {group.values["name"]: group.values["retention_in_days"] for group in groups}
    assert kept == dict.fromkeys(kept, 545)
    keys = {group.values["name"]: group.values["kms_key_id"] for group in groups}
    assert keys == dict.fromkeys(keys, KEY)


def test_the_buckets_rules_have_the_days_that_were_given(everything: Mocked, nothing: Mocked) -> None:
    rules = {r["id"]: r for r in everything.value("s3.aws_s3_bucket_lifecycle_configuration.this", "rule")}
    assert rules["expire-superseded"]["expiration"][0]["days"] == 401
    assert rules["clear-up"]["noncurrent_version_expiration"][0]["noncurrent_days"] == 41
    (moved,) = rules["move-older-bottles"]["transition"]
    assert (moved["days"], moved["storage_class"]) == (43, "GLACIER_IR")
    off = {r["id"]: r for r in nothing.value("s3.aws_s3_bucket_lifecycle_configuration.this", "rule")}
    assert off["move-older-bottles"]["status"] == "Disabled"


def test_images_are_kept_as_many_as_were_asked_for(everything: Mocked) -> None:
    policy = json.loads(everything.value("ecr[0].aws_ecr_lifecycle_policy.this", "policy"))
    assert policy["rules"][1]["selection"]["countNumber"] == 17


def test_zones_and_ways_out_are_as_many_as_were_asked_for(everything: Mocked, nothing: Mocked) -> None:
    counted = {
        kind: len(everything.of_kind(kind))
        for kind in (
            "aws_subnet",
            "aws_nat_gateway",
            "aws_vpc_endpoint",
            "aws_flow_log",
            "aws_efs_mount_target",
        )
    }
    assert counted == {
        "aws_subnet": 6,
        "aws_nat_gateway": 3,
        "aws_vpc_endpoint": 12,
        "aws_flow_log": 1,
        "aws_efs_mount_target": 3,
    }
    assert (len(nothing.of_kind("aws_subnet")), len(nothing.of_kind("aws_vpc_endpoint"))) == (4, 1)
    assert nothing.of_kind("aws_nat_gateway", "aws_flow_log", "aws_efs_mount_target") == []


def test_who_is_told_by_mail_was_asked_for(everything: Mocked, nothing: Mocked) -> None:
    def subscribed(mocked: Mocked) -> list[str]:
        found = mocked.of_kind("aws_sns_topic_subscription")
        return sorted(resource.address.split('"')[1] for resource in found)

    addresses = ("one@example.com", "two@example.com")
    topics = ("alerts", "messages", "security")
    assert subscribed(everything) == [f"{topic} {address}" for topic in topics for address in addresses]
    assert subscribed(nothing) == ["alerts one@example.com", "security one@example.com"]


def test_what_is_switched_off_is_not_there(nothing: Mocked) -> None:
    kinds = {resource.kind for resource in nothing.resources.values()}
    absent = {
        "aws_appautoscaling_target",
        "aws_budgets_budget",
        "aws_cloudtrail",
        "aws_cloudwatch_composite_alarm",
        "aws_cloudwatch_event_bus",
        "aws_cloudwatch_query_definition",
        "aws_ecr_repository",
        "aws_efs_file_system",
        "aws_kms_key",
        "aws_s3_bucket_accelerate_configuration",
        "aws_s3_bucket_policy",
        "aws_s3_bucket_replication_configuration",
        "aws_secretsmanager_secret_rotation",
        "aws_xray_group",
    }
    assert kinds & absent == set()
    keys = {
        resource.address: resource.values.get("kms_key_id")
        for resource in nothing.of_kind("aws_cloudwatch_log_group")
    }
    assert keys == dict.fromkeys(keys)
    denied = [
        r
        for r in nothing.of_kind("aws_sns_topic_policy", "aws_sqs_queue_policy")
        if "aws:SecureTransport" in r.values["policy"]
    ]
    assert denied == []


def test_tls_is_demanded_everywhere(everything: Mocked) -> None:
    found = everything.of_kind(
        "aws_s3_bucket_policy", "aws_sqs_queue_policy", "aws_sns_topic_policy", "aws_efs_file_system_policy"
    )
    assert len(found) == 3 + 2 + 3 + 1
    assert [r.address for r in found if "aws:SecureTransport" not in r.values["policy"]] == []


def test_roles_get_what_this_deployment_made(everything: Mocked) -> None:
    policies = {
        role: json.loads(text)["Statement"] for role, text in everything.outputs["policies_json"].items()
    }

    def allowed(role: str, action: str) -> set[str]:
        return {r for s in policies[role] if action in s["Action"] for r in s["Resource"]}

    assert allowed("code", "sqs:ReceiveMessage") == {
        "arn:aws:sqs:us-west-2:123456789012:mirror-wired-triggers"
    }
    assert allowed("code", "sqs:SendMessage") == {"arn:aws:sqs:us-west-2:123456789012:dead-letters"}
    assert allowed("code", "sns:Publish") == {
        "arn:aws:sns:us-west-2:123456789012:test",
        "arn:aws:sns:us-west-2:123456789012:security",
    }
    assert allowed("code", "kms:GenerateDataKey") == {KEY, BUCKET_KEY}
    assert allowed("run", "kms:GenerateDataKey") == {BUCKET_KEY}
    bucket = "arn:aws:s3:::test-bucket"
    for role in policies:
        writes = {arn.removeprefix(f"{bucket}/") for arn in allowed(role, "s3:PutObject")}
        published = {"published/*", "published/current.json"} if role == "run" else set()
        assert {key for key in writes if key.startswith("published/")} == published, role
        assert ("state/*" in writes) == (role in ("run", "lambda")), role
        assert "*" not in writes, role
    assert allowed("run", "lambda:InvokeFunction") == {
        "arn:aws:lambda:us-east-1:123456789012:function:mirror-wired-sync-worker"
    }
    assert "arn:aws:s3:::elsewhere/hashes/known.json" in allowed("run", "s3:GetObject")
    assert allowed("run", "elasticfilesystem:ClientMount") == {
        "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0"
    }
    assert allowed("daemon", "ecs:RunTask") == {
        "arn:aws:ecs:us-east-1:123456789012:task-definition/mirror-wired-run:*"
    }
    assert allowed("execution", "secretsmanager:GetSecretValue") == {
        "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds!db-test-AbCdEf",
        PROXY,
        CA,
    }
    assert allowed("lambda", "xray:PutTraceSegments") == {"*"}
    assert allowed("webserver", "ssmmessages:OpenDataChannel") == {"*"}
