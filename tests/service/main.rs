//! The service as its users meet it: real servers, real databases, real HTTP.
//!
//! Every test of the flow or the store runs on SQLite and on PostgreSQL. `tests/run` starts the
//! PostgreSQL they need.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

#[allow(dead_code, reason = "the search uses the rest")]
#[path = "../leaks/canaries.rs"]
mod canaries;
#[allow(dead_code, reason = "the search uses the rest")]
#[path = "../leaks/forms.rs"]
mod leak_forms;
#[allow(dead_code, reason = "the search uses the rest")]
#[path = "../leaks/numbers.rs"]
mod leak_numbers;
mod support;

mod api;
mod api_cards;
mod api_credentials;
mod api_credentials_calls;
mod api_delete;
mod api_events;
mod api_idempotency;
mod api_lists;
mod api_metrics;
mod api_openapi;
mod api_outbox;
mod api_readiness;
mod api_roles;
mod api_transactions;
mod audit;
mod audit_closed;
mod audit_commands;
mod audit_copies;
mod audit_edits;
mod audit_kills;
mod audit_objects;
mod audit_purge;
mod audit_refused;
mod audit_rejections;
mod audit_service;
mod backup;
mod calls_atomic;
mod calls_attempts;
mod calls_claims;
mod calls_credentials;
mod calls_dead_letters;
mod calls_delete;
mod calls_elsewhere;
mod calls_events;
mod calls_fault_cells;
mod calls_fault_table;
mod calls_faults;
mod calls_herd;
mod calls_kills;
mod calls_memory;
mod calls_oauth;
mod calls_order;
mod calls_outage;
mod calls_pace;
mod calls_poison;
mod calls_races;
mod calls_refresh;
mod calls_refresh_kills;
mod calls_stops;
mod calls_takeover;
mod cancelled;
mod commands;
mod commands_cards;
mod commands_check;
mod commands_completions;
mod commands_delete;
mod commands_export;
mod commands_keys;
mod commands_numbers;
mod commands_outbox;
mod commands_reconcile;
mod commands_status;
mod commands_status_refused;
mod commands_status_shown;
mod commands_unconfirmed;
mod console;
mod console_acts;
mod console_browser;
mod console_pages;
mod console_search;
mod console_timeline;
mod cryptogram_crashes;
mod cryptogram_once;
mod damage;
mod demo;
mod disk_errors;
mod disk_full;
mod door_batches;
mod door_bodies;
mod door_budget;
mod door_codings;
mod door_echo;
mod door_failures;
mod door_faults;
mod door_framing;
mod door_headers;
mod door_limits;
mod door_log;
mod door_names;
mod door_overload;
mod door_paths;
mod door_pressure;
mod door_production;
mod door_proxy;
mod door_readers;
mod door_sizes;
mod door_swarm;
mod door_tls;
mod door_tls_handshake;
mod door_tls_reload;
mod duplicates;
mod erase;
mod erase_traces;
mod keys_approval;
mod keys_inventory;
mod keys_kinds;
mod keys_uses;
mod kills;
mod maintenance;
mod masking;
mod masking_commands;
mod migration_kills;
mod missed;
mod missed_commands;
mod missed_silence;
mod moving;
mod moving_tables;
mod operations;
mod operations_doors;
mod operations_guide;
mod operations_install;
mod operations_keys;
mod operations_missed;
mod operations_storage;
mod postgres_faults;
mod power_cuts;
mod pressure;
mod processing;
mod processing_answers;
mod processing_contexts;
mod processing_keys;
mod processing_kids;
mod processing_registration;
mod processing_reloads;
mod processing_rotation;
mod production;
mod rebuild;
mod rebuild_told;
mod refreshes;
mod replay;
mod reseal;
mod retention;
mod retention_load;
mod secrets;
mod secrets_columns;
mod secrets_digests;
mod secrets_sources;
mod shutdown;
mod spool;
mod spool_beside;
mod spool_kills;
mod storage;
mod storage_damage;
mod storage_indexes;
mod storage_logs;
mod storage_rehearsal;
mod storage_rows;
mod storage_schema;
mod storage_settings;
mod storage_users;
mod token_status_cells;
mod token_status_matrix;
mod tokens_bank;
mod tokens_issuer;
mod tokens_kills;
mod tokens_offered;
mod tokens_outbox;
mod tokens_reads;
mod tokens_secrets;
mod watch_metrics;
mod watch_ready;
mod watch_rules;
mod wire;
mod wire_digits;
mod wire_keys;
mod wire_masked;
mod wire_payment;
mod wire_settings;
mod wire_settings_aliases;
mod wire_settings_events;
mod wire_settings_items;
mod wire_swapped;
mod wire_text;
mod wire_times;
