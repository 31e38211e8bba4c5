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

  # Role of the group, role or address on the other side, protocol and ports: both ways, so that no way is missing and
  # none is open that nobody asked for.
  assert {
    condition = toset([for rule in concat(
      values(aws_vpc_security_group_ingress_rule.between), values(aws_vpc_security_group_ingress_rule.endpoints),
      ) : join(" ", [
        one([for role, group in aws_security_group.this : role if group.id == rule.security_group_id]), "from",
        rule.cidr_ipv4 != null ? rule.cidr_ipv4 : one([for role, group in aws_security_group.this : role if group.id == rule.referenced_security_group_id]),
        rule.ip_protocol, rule.from_port, rule.to_port,
      ])]) == toset([
      "database from webserver tcp 5432 5432",
      "database from daemon tcp 5432 5432",
      "database from code tcp 5432 5432",
      "database from run tcp 5432 5432",
      "efs from daemon tcp 2049 2049",
      "efs from run tcp 2049 2049",
      "code from webserver tcp 4000 4000",
      "code from daemon tcp 4000 4000",
      "endpoints from webserver tcp 443 443",
      "endpoints from daemon tcp 443 443",
      "endpoints from code tcp 443 443",
      "endpoints from run tcp 443 443",
      "endpoints from lambda tcp 443 443",
    ])
    error_message = "Who is let in is not what it must be."
  }

  assert {
    condition = toset([for rule in concat(
      values(aws_vpc_security_group_egress_rule.between), values(aws_vpc_security_group_egress_rule.https),
      ) : join(" ", [
        one([for role, group in aws_security_group.this : role if group.id == rule.security_group_id]), "to",
        rule.cidr_ipv4 != null ? rule.cidr_ipv4 : one([for role, group in aws_security_group.this : role if group.id == rule.referenced_security_group_id]),
        rule.ip_protocol, rule.from_port, rule.to_port,
      ])]) == toset([
      "webserver to database tcp 5432 5432",
      "daemon to database tcp 5432 5432",
      "code to database tcp 5432 5432",
      "run to database tcp 5432 5432",
      "daemon to efs tcp 2049 2049",
      "run to efs tcp 2049 2049",
      "webserver to code tcp 4000 4000",
      "daemon to code tcp 4000 4000",
      "webserver to 0.0.0.0/0 tcp 443 443",
      "daemon to 0.0.0.0/0 tcp 443 443",
      "code to 0.0.0.0/0 tcp 443 443",
      "run to 0.0.0.0/0 tcp 443 443",
      "lambda to 0.0.0.0/0 tcp 443 443",
    ])
    error_message = "Who is let out is not what it must be."
  }

  assert {
    condition = toset([for rule in [
      aws_network_acl_rule.private_in_vpc, aws_network_acl_rule.private_in_answers,
      aws_network_acl_rule.private_out_vpc, aws_network_acl_rule.private_out_https,
      aws_network_acl_rule.public_in_https, aws_network_acl_rule.public_in_answers,
      aws_network_acl_rule.public_out_https, aws_network_acl_rule.public_out_answers,
      ] : join(" ", [
        one([for list, id in { private = aws_network_acl.private.id, public = aws_network_acl.public.id } : list if id == rule.network_acl_id]),
        rule.egress ? "out" : "in", rule.rule_number, rule.rule_action, rule.cidr_block, rule.protocol,
        rule.protocol == "-1" ? "all" : "${rule.from_port}-${rule.to_port}",
      ])]) == toset([
      "private in 100 allow 10.40.0.0/16 -1 all",
      "private in 200 allow 0.0.0.0/0 tcp 1024-65535",
      "private out 100 allow 10.40.0.0/16 -1 all",
      "private out 200 allow 0.0.0.0/0 tcp 443-443",
      "public in 100 allow 10.40.0.0/16 tcp 443-443",
      "public in 200 allow 0.0.0.0/0 tcp 1024-65535",
      "public out 100 allow 0.0.0.0/0 tcp 443-443",
      "public out 200 allow 10.40.0.0/16 tcp 1024-65535",
    ])
    error_message = "Https goes out of private subnets through the NAT gateways, answers come back, and nothing else passes."
  }

  assert {
    condition = (
      length(aws_network_acl_association.private) == 2 && length(aws_network_acl_association.public) == 2 &&
      alltrue([for association in aws_network_acl_association.private : association.network_acl_id == aws_network_acl.private.id]) &&
      alltrue([for association in aws_network_acl_association.public : association.network_acl_id == aws_network_acl.public.id])
    )
    error_message = "Each subnet must have the list of its kind."
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
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.security_group_ids == toset([aws_security_group.this["endpoints"].id])])
    error_message = "Endpoints must let in whom their group lets in."
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
