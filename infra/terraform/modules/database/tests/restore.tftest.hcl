# A database out of a snapshot.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name              = "mirror-test"
  subnet_ids        = ["subnet-1", "subnet-2"]
  security_group_id = "sg-1"
}

run "from_a_snapshot" {
  command = apply

  variables {
    snapshot_identifier = "rds:mirror-test-database-2026-11-22-22-05"
  }

  assert {
    condition     = aws_db_instance.this[0].snapshot_identifier == "rds:mirror-test-database-2026-11-22-22-05" && aws_db_instance.this[0].manage_master_user_password
    error_message = "The database must come out of the snapshot, with a password that RDS makes anew."
  }
}

run "the_variable_is_taken_away_again" {
  command = plan

  assert {
    # The provider would replace the database by an empty one.
    condition     = aws_db_instance.this[0].snapshot_identifier == "rds:mirror-test-database-2026-11-22-22-05"
    error_message = "A database that is there must stay."
  }
}

run "aurora_from_a_snapshot" {
  command = plan

  variables {
    engine              = "aurora-postgresql"
    instance_class      = "db.serverless"
    snapshot_identifier = "arn:aws:rds:us-west-2:123456789012:cluster-snapshot:mirror-test-database-final"
  }

  assert {
    condition     = aws_rds_cluster.this[0].snapshot_identifier == "arn:aws:rds:us-west-2:123456789012:cluster-snapshot:mirror-test-database-final"
    error_message = "The cluster must come out of the snapshot."
  }
}

run "no_snapshot_of_that_name" {
  command         = plan
  expect_failures = [var.snapshot_identifier]

  variables {
    snapshot_identifier = "last monday's"
  }
}
