-- LiteLLM's tables as its 1.106 migrations leave them, with the columns that hold limits and one that nobody may read.
CREATE TABLE "LiteLLM_BudgetTable" (budget_id TEXT PRIMARY KEY, max_budget DOUBLE PRECISION, soft_budget DOUBLE PRECISION,
  max_parallel_requests INTEGER, tpm_limit BIGINT, rpm_limit BIGINT, tpd_limit BIGINT, model_max_budget JSONB,
  budget_duration TEXT, budget_reset_at TIMESTAMP(3), allowed_models TEXT[] DEFAULT ARRAY[]::TEXT[]);
CREATE TABLE "LiteLLM_OrganizationTable" (organization_id TEXT PRIMARY KEY, organization_alias TEXT NOT NULL,
  budget_id TEXT NOT NULL, metadata JSONB NOT NULL DEFAULT '{}', models TEXT[], spend DOUBLE PRECISION DEFAULT 0);
CREATE TABLE "LiteLLM_TeamTable" (team_id TEXT PRIMARY KEY, team_alias TEXT, organization_id TEXT,
  metadata JSONB NOT NULL DEFAULT '{}', max_budget DOUBLE PRECISION, soft_budget DOUBLE PRECISION,
  spend DOUBLE PRECISION DEFAULT 0, models TEXT[], max_parallel_requests INTEGER, tpm_limit BIGINT, rpm_limit BIGINT,
  budget_duration TEXT, blocked BOOLEAN DEFAULT false, model_max_budget JSONB DEFAULT '{}', budget_limits JSONB);
CREATE TABLE "LiteLLM_TeamMembership" (user_id TEXT, team_id TEXT, spend DOUBLE PRECISION DEFAULT 0, budget_id TEXT,
  PRIMARY KEY (user_id, team_id));
CREATE TABLE "LiteLLM_UserTable" (user_id TEXT PRIMARY KEY, user_email TEXT, password TEXT, max_budget DOUBLE PRECISION,
  spend DOUBLE PRECISION DEFAULT 0, models TEXT[], metadata JSONB DEFAULT '{}', tpm_limit BIGINT, rpm_limit BIGINT,
  budget_duration TEXT, model_max_budget JSONB DEFAULT '{}');
CREATE TABLE "LiteLLM_VerificationToken" (token TEXT PRIMARY KEY, key_name TEXT, key_alias TEXT,
  spend DOUBLE PRECISION DEFAULT 0, expires TIMESTAMP(3), models TEXT[], aliases JSONB DEFAULT '{}', user_id TEXT,
  team_id TEXT, max_parallel_requests INTEGER, metadata JSONB DEFAULT '{}', blocked BOOLEAN, tpm_limit BIGINT,
  rpm_limit BIGINT, max_budget DOUBLE PRECISION, budget_duration TEXT, model_max_budget JSONB DEFAULT '{}',
  budget_id TEXT, organization_id TEXT, budget_limits JSONB);
CREATE TABLE "LiteLLM_EndUserTable" (user_id TEXT PRIMARY KEY, spend DOUBLE PRECISION DEFAULT 0, budget_id TEXT,
  blocked BOOLEAN DEFAULT false);
CREATE TABLE "LiteLLM_TagTable" (tag_name TEXT PRIMARY KEY, models TEXT[], budget_id TEXT);
INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, rpm_limit, budget_duration) VALUES
  ('b-org', 900, NULL, '30d'), ('b-member', 3.5, 7, '1d'), ('b-end', 0.25, NULL, NULL), ('b-tag', 12, NULL, '7d');
INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id) VALUES ('o1', 'acme', 'b-org');
INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias, organization_id, max_budget, tpm_limit, budget_duration, models, spend)
  VALUES ('t1', 'research', 'o1', 10.1, 20000, '24h', ARRAY['fast'], 4.2);
INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, budget_id) VALUES ('ann', 't1', 'b-member');
INSERT INTO "LiteLLM_UserTable" (user_id, user_email, password, max_budget, budget_duration)
  VALUES ('ann', 'ann@example.com', 'a hash', 50, '1mo');
INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, team_id, user_id, rpm_limit, max_parallel_requests,
  model_max_budget, budget_limits, organization_id, expires) VALUES
  ('hash-1', 'ci', 't1', 'ann', 3, 2, '{"fast": {"budget_limit": 0.5, "time_period": "1d"}}',
   '[{"budget_duration": "1h", "max_budget": 0.1}]', 'o1', '2030-01-01 00:00:00');
INSERT INTO "LiteLLM_EndUserTable" (user_id, budget_id) VALUES ('customer 7', 'b-end');
INSERT INTO "LiteLLM_TagTable" (tag_name, budget_id) VALUES ('feature:search', 'b-tag');
