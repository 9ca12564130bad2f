ALTER TABLE gate_results DROP COLUMN output_sha256;
ALTER TABLE gate_results DROP COLUMN tree;
