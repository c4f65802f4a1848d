-- When each key was last used, as far as that was written: once a minute at most.

CREATE TABLE key_uses (
    purpose TEXT NOT NULL,              -- 'api' for API keys
    program TEXT NOT NULL,              -- '' for keys that are no program's
    kid TEXT NOT NULL,                  -- an API key's name
    fingerprint TEXT NOT NULL,          -- '' for API keys
    used_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, program, kid, fingerprint)
);
