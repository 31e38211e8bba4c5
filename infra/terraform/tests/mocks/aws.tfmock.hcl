# What `mock_provider "aws"` answers in `terraform test`, for the root and every module. Without these defaults
# computed attributes are random words, which the provider's own checks of ARNs and JSON refuse.
#   modules: mock_provider "aws" { source = "../../tests/mocks" }
#   root:    mock_provider "aws" { source = "./tests/mocks" }
# A default is the same for every instance of a resource: tests that compare two ARNs need override_resource.

# Data sources

mock_data "aws_availability_zones" {
  defaults = {
    id       = "us-west-2"
    names    = ["us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"]
    zone_ids = ["usw2-az1", "usw2-az2", "usw2-az3", "usw2-az4"]
  }
}

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "123456789012"
    arn        = "arn:aws:iam::123456789012:user/test"
    user_id    = "AIDATEST"
  }
}

mock_data "aws_iam_policy_document" {
  defaults = {
    json          = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
    minified_json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  }
}

mock_data "aws_partition" {
  defaults = {
    partition          = "aws"
    dns_suffix         = "amazonaws.com"
    reverse_dns_prefix = "com.amazonaws"
  }
}

mock_data "aws_region" {
  defaults = {
    id          = "us-west-2"
    description = "US West (Oregon)"
    endpoint    = "ec2.us-west-2.amazonaws.com"
  }
}

# Network

mock_resource "aws_vpc" {
  defaults = {
    id                        = "vpc-0123456789abcdef0"
    arn                       = "arn:aws:ec2:us-west-2:123456789012:vpc/vpc-0123456789abcdef0"
    default_security_group_id = "sg-0123456789abcdef0"
    default_network_acl_id    = "acl-0123456789abcdef0"
    default_route_table_id    = "rtb-0123456789abcdef0"
    main_route_table_id       = "rtb-0123456789abcdef0"
  }
}

mock_resource "aws_subnet" {
  defaults = {
    arn = "arn:aws:ec2:us-west-2:123456789012:subnet/subnet-0123456789abcdef0"
  }
}

mock_resource "aws_security_group" {
  defaults = {
    arn = "arn:aws:ec2:us-west-2:123456789012:security-group/sg-0123456789abcdef1"
  }
}

mock_resource "aws_network_acl" {
  defaults = {
    arn = "arn:aws:ec2:us-west-2:123456789012:network-acl/acl-0123456789abcdef1"
  }
}

mock_resource "aws_vpc_endpoint" {
  defaults = {
    arn            = "arn:aws:ec2:us-west-2:123456789012:vpc-endpoint/vpce-0123456789abcdef0"
    prefix_list_id = "pl-01234567"
  }
}

mock_resource "aws_eip" {
  defaults = {
    arn       = "arn:aws:ec2:us-west-2:123456789012:elastic-ip/eipalloc-0123456789abcdef0"
    public_ip = "203.0.113.10"
  }
}

mock_resource "aws_flow_log" {
  defaults = {
    arn = "arn:aws:ec2:us-west-2:123456789012:vpc-flow-log/fl-0123456789abcdef0"
  }
}

# Keys, roles, secrets

mock_resource "aws_kms_key" {
  defaults = {
    arn    = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
    key_id = "11111111-2222-3333-4444-555555555555"
  }
}

mock_resource "aws_kms_alias" {
  defaults = {
    arn            = "arn:aws:kms:us-west-2:123456789012:alias/test"
    target_key_arn = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
  }
}

mock_resource "aws_iam_role" {
  defaults = {
    arn = "arn:aws:iam::123456789012:role/test"
  }
}

mock_resource "aws_iam_policy" {
  defaults = {
    arn = "arn:aws:iam::123456789012:policy/test"
  }
}

mock_resource "aws_iam_instance_profile" {
  defaults = {
    arn = "arn:aws:iam::123456789012:instance-profile/test"
  }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    id  = "arn:aws:secretsmanager:us-west-2:123456789012:secret:test-AbCdEf"
    arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:test-AbCdEf"
  }
}

mock_resource "aws_secretsmanager_secret_version" {
  defaults = {
    arn        = "arn:aws:secretsmanager:us-west-2:123456789012:secret:test-AbCdEf"
    version_id = "11111111-2222-3333-4444-555555555555"
  }
}

# Storage

mock_resource "aws_s3_bucket" {
  defaults = {
    arn                         = "arn:aws:s3:::test-bucket"
    bucket_domain_name          = "test-bucket.s3.amazonaws.com"
    bucket_regional_domain_name = "test-bucket.s3.us-west-2.amazonaws.com"
  }
}

mock_resource "aws_ecr_repository" {
  defaults = {
    arn            = "arn:aws:ecr:us-west-2:123456789012:repository/test"
    registry_id    = "123456789012"
    repository_url = "123456789012.dkr.ecr.us-west-2.amazonaws.com/test"
  }
}

mock_resource "aws_efs_file_system" {
  defaults = {
    id       = "fs-0123456789abcdef0"
    arn      = "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0"
    dns_name = "fs-0123456789abcdef0.efs.us-west-2.amazonaws.com"
  }
}

mock_resource "aws_efs_access_point" {
  defaults = {
    id              = "fsap-0123456789abcdef0"
    arn             = "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0"
    file_system_arn = "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0"
  }
}

mock_resource "aws_efs_mount_target" {
  defaults = {
    file_system_arn = "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0"
  }
}

mock_resource "aws_db_instance" {
  defaults = {
    arn      = "arn:aws:rds:us-west-2:123456789012:db:test"
    address  = "test.abcdefghijkl.us-west-2.rds.amazonaws.com"
    endpoint = "test.abcdefghijkl.us-west-2.rds.amazonaws.com:5432"
    master_user_secret = [{
      secret_arn    = "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds!db-test-AbCdEf"
      secret_status = "active"
      kms_key_id    = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
    }]
  }
}

mock_resource "aws_rds_cluster" {
  defaults = {
    arn      = "arn:aws:rds:us-west-2:123456789012:cluster:test"
    endpoint = "test.cluster-abcdefghijkl.us-west-2.rds.amazonaws.com"
    master_user_secret = [{
      secret_arn    = "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds!cluster-test-AbCdEf"
      secret_status = "active"
      kms_key_id    = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
    }]
  }
}

mock_resource "aws_rds_cluster_instance" {
  defaults = {
    arn = "arn:aws:rds:us-west-2:123456789012:db:test-0"
  }
}

mock_resource "aws_db_subnet_group" {
  defaults = {
    arn = "arn:aws:rds:us-west-2:123456789012:subgrp:test"
  }
}

mock_resource "aws_db_parameter_group" {
  defaults = {
    arn = "arn:aws:rds:us-west-2:123456789012:pg:test"
  }
}

mock_resource "aws_rds_cluster_parameter_group" {
  defaults = {
    arn = "arn:aws:rds:us-west-2:123456789012:cluster-pg:test"
  }
}

# Events and messages

mock_resource "aws_sqs_queue" {
  defaults = {
    id  = "https://sqs.us-west-2.amazonaws.com/123456789012/test"
    url = "https://sqs.us-west-2.amazonaws.com/123456789012/test"
    arn = "arn:aws:sqs:us-west-2:123456789012:test"
  }
}

mock_resource "aws_sns_topic" {
  defaults = {
    id  = "arn:aws:sns:us-west-2:123456789012:test"
    arn = "arn:aws:sns:us-west-2:123456789012:test"
  }
}

mock_resource "aws_sns_topic_subscription" {
  defaults = {
    id  = "arn:aws:sns:us-west-2:123456789012:test:11111111-2222-3333-4444-555555555555"
    arn = "arn:aws:sns:us-west-2:123456789012:test:11111111-2222-3333-4444-555555555555"
  }
}

mock_resource "aws_cloudwatch_event_bus" {
  defaults = {
    arn = "arn:aws:events:us-west-2:123456789012:event-bus/test"
  }
}

mock_resource "aws_cloudwatch_event_rule" {
  defaults = {
    arn = "arn:aws:events:us-west-2:123456789012:rule/test"
  }
}

mock_resource "aws_scheduler_schedule" {
  defaults = {
    arn = "arn:aws:scheduler:us-west-2:123456789012:schedule/default/test"
  }
}

# Compute

mock_resource "aws_ecs_cluster" {
  defaults = {
    id  = "arn:aws:ecs:us-west-2:123456789012:cluster/test"
    arn = "arn:aws:ecs:us-west-2:123456789012:cluster/test"
  }
}

mock_resource "aws_ecs_task_definition" {
  defaults = {
    id                   = "test"
    arn                  = "arn:aws:ecs:us-west-2:123456789012:task-definition/test:1"
    arn_without_revision = "arn:aws:ecs:us-west-2:123456789012:task-definition/test"
    revision             = 1
  }
}

mock_resource "aws_ecs_service" {
  defaults = {
    id = "arn:aws:ecs:us-west-2:123456789012:service/test/test"
  }
}

mock_resource "aws_service_discovery_private_dns_namespace" {
  defaults = {
    id          = "ns-0123456789abcdef"
    arn         = "arn:aws:servicediscovery:us-west-2:123456789012:namespace/ns-0123456789abcdef"
    hosted_zone = "Z0123456789ABCDEFGHIJ"
  }
}

mock_resource "aws_service_discovery_http_namespace" {
  defaults = {
    id  = "ns-0123456789abcdef"
    arn = "arn:aws:servicediscovery:us-west-2:123456789012:namespace/ns-0123456789abcdef"
  }
}

mock_resource "aws_service_discovery_service" {
  defaults = {
    id  = "srv-0123456789abcdef"
    arn = "arn:aws:servicediscovery:us-west-2:123456789012:service/srv-0123456789abcdef"
  }
}

mock_resource "aws_appautoscaling_target" {
  defaults = {
    arn = "arn:aws:application-autoscaling:us-west-2:123456789012:scalable-target/0123456789abcdef0123456789abcdef0123"
  }
}

mock_resource "aws_appautoscaling_policy" {
  defaults = {
    arn = "arn:aws:autoscaling:us-west-2:123456789012:scalingPolicy:11111111-2222-3333-4444-555555555555:resource/ecs/service/test/test:policyName/test"
  }
}

mock_resource "aws_lambda_function" {
  defaults = {
    arn           = "arn:aws:lambda:us-west-2:123456789012:function:test"
    invoke_arn    = "arn:aws:apigateway:us-west-2:lambda:path/2015-03-31/functions/arn:aws:lambda:us-west-2:123456789012:function:test/invocations"
    qualified_arn = "arn:aws:lambda:us-west-2:123456789012:function:test:1"
    version       = "1"
  }
}

mock_resource "aws_lambda_alias" {
  defaults = {
    arn = "arn:aws:lambda:us-west-2:123456789012:function:test:live"
  }
}

# Watching

mock_resource "aws_cloudwatch_log_group" {
  defaults = {
    arn = "arn:aws:logs:us-west-2:123456789012:log-group:test"
  }
}

mock_resource "aws_cloudwatch_metric_alarm" {
  defaults = {
    arn = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:test"
  }
}

mock_resource "aws_cloudwatch_composite_alarm" {
  defaults = {
    arn = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:test"
  }
}

mock_resource "aws_cloudwatch_dashboard" {
  defaults = {
    dashboard_arn = "arn:aws:cloudwatch::123456789012:dashboard/test"
  }
}

mock_resource "aws_cloudwatch_query_definition" {
  defaults = {
    query_definition_id = "11111111-2222-3333-4444-555555555555"
  }
}

mock_resource "aws_budgets_budget" {
  defaults = {
    arn = "arn:aws:budgets::123456789012:budget/test"
  }
}

mock_resource "aws_xray_group" {
  defaults = {
    arn = "arn:aws:xray:us-west-2:123456789012:group/test/ABCDEFGHIJKLMNOPQRSTUVWXYZ"
  }
}

mock_resource "aws_cloudtrail" {
  defaults = {
    arn         = "arn:aws:cloudtrail:us-west-2:123456789012:trail/test"
    home_region = "us-west-2"
  }
}
