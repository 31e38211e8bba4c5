output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "vpc_cidr" {
  description = "Addresses of the VPC."
  value       = aws_vpc.this.cidr_block
}

output "private_subnet_ids" {
  description = "Subnets of tasks, database and file system, one per zone. Their tasks can start once routes and endpoints stand."
  value       = aws_subnet.private[*].id

  depends_on = [
    aws_route.internet_by_nat,
    aws_vpc_endpoint.s3,
    aws_vpc_endpoint.interface,
    aws_network_acl_association.private,
  ]
}

output "public_subnet_ids" {
  description = "Subnets of the NAT gateways, one per zone; nothing else of ours stands there."
  value       = aws_subnet.public[*].id
}

output "security_group_ids" {
  description = "Security groups by role: webserver, daemon, code, run, lambda, database, efs, endpoints."
  value       = { for role, group in aws_security_group.this : role => group.id }

  # A task that starts before its rules stand would fail to reach the database.
  depends_on = [
    aws_vpc_security_group_egress_rule.https,
    aws_vpc_security_group_egress_rule.between,
    aws_vpc_security_group_ingress_rule.between,
  ]
}

output "private_route_table_ids" {
  description = "Route tables of the private subnets, one per zone."
  value       = aws_route_table.private[*].id
}

output "nat_public_ips" {
  description = "Addresses under which private subnets appear on the internet; empty without NAT."
  value       = aws_eip.nat[*].public_ip
}

output "s3_endpoint_id" {
  description = "Gateway endpoint of S3, for bucket policies."
  value       = aws_vpc_endpoint.s3.id
}

output "flow_log_group_name" {
  description = "Log group of the flow logs; null without them."
  value       = one(aws_cloudwatch_log_group.flow[*].name)
}

output "interface_endpoints" {
  description = "Services that have an interface endpoint."
  value       = var.enable_vpc_endpoints ? var.interface_endpoints : []
}
