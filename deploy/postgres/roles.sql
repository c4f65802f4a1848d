-- The database's users, each with what it needs and no more. Run it in tokenkeep's database as a superuser,
-- once before the first `tokenkeep migrate` and again after each one:
--
--     psql -v ON_ERROR_STOP=1 -d tokenkeep -f roles.sql
--
-- It may be run as often as you like, also in a database that another user has filled so far. Passwords are
-- yours to set (ALTER ROLE … PASSWORD). Who uses which:
--
--     tokenkeep_owner    `tokenkeep migrate`, also `migrate --to`, and nothing else
--     tokenkeep_app      `tokenkeep serve`, and every command but `migrate` and `purge`
--     tokenkeep_purger   `tokenkeep purge`

SET client_min_messages = 'warning';

DO $$
DECLARE
    wanted TEXT;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['tokenkeep_owner', 'tokenkeep_app', 'tokenkeep_purger'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        EXECUTE format('ALTER ROLE %I LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE '
            'NOREPLICATION NOBYPASSRLS', wanted);
    END LOOP;
END $$;

-- Nobody else comes in, nobody but the owner creates anything, not even for a session.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO tokenkeep_owner, tokenkeep_app, tokenkeep_purger',
        current_database());
END $$;
ALTER SCHEMA public OWNER TO tokenkeep_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC, tokenkeep_app, tokenkeep_purger;
GRANT USAGE ON SCHEMA public TO tokenkeep_app, tokenkeep_purger;

-- What there is belongs to the owner, whoever made it; no right of before stays.
DO $$
DECLARE
    thing RECORD;
BEGIN
    FOR thing IN SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER TABLE public.%I OWNER TO tokenkeep_owner', thing.name);
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, tokenkeep_app, tokenkeep_purger', thing.name);
    END LOOP;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, tokenkeep_app, tokenkeep_purger;
    FOR thing IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO tokenkeep_owner', thing.name);
    END LOOP;
END $$;

-- What each table is used for. Rows that only `purge` removes, only the purger may remove; no one may change
-- a record of the audit, and its triggers keep even the purger from one that is younger than 12 months.
GRANT tokenkeep_app TO tokenkeep_purger;
DO $$
DECLARE
    granted RECORD;
BEGIN
    FOR granted IN SELECT * FROM (VALUES
        ('__diesel_schema_migrations', 'SELECT', NULL),
        ('deliveries', 'SELECT, INSERT, UPDATE', 'DELETE'),
        ('notifications', 'SELECT, INSERT, UPDATE', 'DELETE'),
        ('replays', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('registrations', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('answers', 'SELECT, INSERT, UPDATE', 'DELETE'),
        ('cards', 'SELECT, INSERT, UPDATE', NULL),
        ('tokens', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('cryptograms', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('card_tokens', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('outbox', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('events', 'SELECT, INSERT, UPDATE', 'DELETE'),
        ('idempotency_keys', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('api_keys', 'SELECT, INSERT, UPDATE', NULL),
        ('approved_keys', 'SELECT, INSERT, UPDATE', NULL),
        ('key_uses', 'SELECT, INSERT, UPDATE', NULL),
        ('card_holds', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('erasures', 'SELECT, INSERT, UPDATE', NULL),
        ('maintenance', 'SELECT, INSERT, UPDATE, DELETE', NULL),
        ('traffic', 'SELECT, INSERT, DELETE', NULL),
        ('audit', 'SELECT, INSERT', 'DELETE'),
        ('audit_writers', 'SELECT, INSERT, UPDATE', 'DELETE')
    ) AS rights (name, of_app, of_purger) WHERE to_regclass('public.' || name) IS NOT NULL LOOP
        EXECUTE format('GRANT %s ON public.%I TO tokenkeep_app', granted.of_app, granted.name);
        IF granted.of_purger IS NOT NULL THEN
            EXECUTE format('GRANT %s ON public.%I TO tokenkeep_purger', granted.of_purger, granted.name);
        END IF;
    END LOOP;
    -- Events take their numbers before they are written.
    IF to_regclass('public.events_sequence_seq') IS NOT NULL THEN
        GRANT USAGE ON SEQUENCE public.events_sequence_seq TO tokenkeep_app;
    END IF;
END $$;
