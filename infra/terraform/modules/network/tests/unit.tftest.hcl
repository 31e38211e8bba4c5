mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name       = "mirror-test"
  region     = "us-west-2"
  account_id = "123456789012"
  tags       = { Team = "test" }
}

run "as_it_is" {
  command = apply

  assert {
    condition     = length(output.private_subnet_ids) == 2 && length(output.public_subnet_ids) == 2 && length(output.private_route_table_ids) == 2
    error_message = "There must be two zones."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.internet_by_nat) == 2
    error_message = "One NAT gateway serves both zones."
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "Interface endpoints are off, the gateway endpoint of S3 is always there."
  }

  assert {
    condition     = aws_subnet.private[1].cidr_block == "10.40.16.0/20" && aws_subnet.public[0].cidr_block == "10.40.128.0/20" && !aws_subnet.public[0].map_public_ip_on_launch
    error_message = "Subnets must have their places in the VPC, and give no public addresses."
  }

  assert {
    condition     = toset(keys(output.security_group_ids)) == toset(["code", "daemon", "database", "efs", "endpoints", "lambda", "run", "webserver"])
    error_message = "Each role must have a security group."
  }

  assert {
    condition     = alltrue([for group in aws_security_group.this : startswith(group.name, "mirror-test-")]) && aws_iam_role.flow[0].name == "mirror-test-flow-logs" && aws_cloudwatch_log_group.flow[0].name == "/aws/vpc/mirror-test/flow"
    error_message = "Names must begin with the prefix."
  }

  assert {
    condition     = aws_vpc.this.tags["Team"] == "test" && aws_security_group.this["run"].tags["Team"] == "test" && aws_network_acl.private.tags["Team"] == "test"
    error_message = "Tags must be everywhere."
  }

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "The default security group must let nothing through."
  }
}

run "who_may_talk_to_whom" {
  command = apply

  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.https : "${rule.from_port} ${rule.cidr_ipv4}"]) == toset(["443 0.0.0.0/0"])
    error_message = "Only https may leave the VPC."
  }

  assert {
    condition     = length([for rule in aws_vpc_security_group_ingress_rule.between : rule if rule.cidr_ipv4 != null]) == 0
    error_message = "Nobody may come in from an address."
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.between)) == toset(["code-database", "code-efs", "daemon-code", "daemon-database", "daemon-efs", "run-database", "run-efs", "webserver-code", "webserver-database", "webserver-efs"])
    error_message = "Each connection is wanted by somebody."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.between["run-database"].from_port == 5432 && aws_vpc_security_group_ingress_rule.between["daemon-code"].from_port == 4000 && aws_vpc_security_group_ingress_rule.between["run-efs"].from_port == 2049
    error_message = "Ports must be those of the services."
  }

  assert {
    condition     = !contains(keys(aws_vpc_security_group_egress_rule.between), "lambda-database")
    error_message = "The Lambda has no business with the database."
  }
}

run "flags_the_other_way" {
  command = apply

  variables {
    az_count             = 3
    nat_mode             = "per_az"
    enable_vpc_endpoints = true
    enable_flow_logs     = false
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 11 && aws_vpc_endpoint.interface["ecr.api"].service_name == "com.amazonaws.us-west-2.ecr.api" && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "There must be eleven interface endpoints with private names."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_eip.nat) == 3
    error_message = "Each zone must have its NAT gateway."
  }

  assert {
    condition     = length(aws_flow_log.this) == 0 && length(aws_iam_role.flow) == 0 && length(aws_cloudwatch_log_group.flow) == 0 && output.flow_log_group_name == null
    error_message = "Without flow logs nothing of theirs is made."
  }
}

run "without_nat" {
  command = apply

  variables {
    nat_mode = "none"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.internet_by_nat) == 0 && length(output.nat_public_ips) == 0
    error_message = "Without NAT no private subnet has a way to the internet."
  }
}

run "nat_mode_misspelt" {
  command = plan

  variables {
    nat_mode = "one"
  }

  expect_failures = [var.nat_mode]
}

run "one_zone_is_too_few" {
  command = plan

  variables {
    az_count = 1
  }

  expect_failures = [var.az_count]
}

run "small_network" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "network_with_host_bits" {
  command = plan

  variables {
    vpc_cidr = "10.0.1.0/16"
  }

  expect_failures = [var.vpc_cidr]
}

run "name_with_capitals" {
  command = plan

  variables {
    name = "Mirror"
  }

  expect_failures = [var.name]
}

run "account_too_short" {
  command = plan

  variables {
    account_id = "1234"
  }

  expect_failures = [var.account_id]
}

run "region_misspelt" {
  command = plan

  variables {
    region = "oregon"
  }

  expect_failures = [var.region]
}

run "retention_that_aws_does_not_offer" {
  command = plan

  variables {
    flow_log_retention_days = 8
  }

  expect_failures = [var.flow_log_retention_days]
}

run "s3_as_interface" {
  command = plan

  variables {
    interface_endpoints = ["s3"]
  }

  expect_failures = [var.interface_endpoints]
}
