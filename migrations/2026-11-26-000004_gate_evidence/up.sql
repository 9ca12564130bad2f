-- What a gate's evaluation was made of: the judged commit's tree, and for a run of the tests the SHA-256 of the whole output.
ALTER TABLE gate_results ADD COLUMN tree TEXT;
ALTER TABLE gate_results ADD COLUMN output_sha256 TEXT;
