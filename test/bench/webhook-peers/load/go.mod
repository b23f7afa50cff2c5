module connection-budget.test/load

go 1.26.0
