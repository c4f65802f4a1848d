//! The tables, one schema for SQLite and PostgreSQL. Times are milliseconds since 1970 (UTC).

diesel::table! {
    deliveries (sequence) {
        sequence -> BigInt,
        id -> Text,
        received_at -> BigInt,
        source -> Text,
        response_host -> Nullable<Text>,
        body -> Nullable<Binary>,
        state -> Text,
    }
}

diesel::table! {
    notifications (id) {
        id -> Text,
        delivery_sequence -> BigInt,
        delivery_id -> Text,
        item_index -> Integer,
        card_id -> Nullable<Text>,
        card_order -> BigInt,
        received_at -> BigInt,
        event_time -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        status -> Nullable<Text>,
        identity -> Nullable<Text>,
        unique_identity -> Nullable<Text>,
        verdict -> Text,
        hold -> Nullable<Text>,
        rule -> Text,
        flags -> Text,
        changes -> Text,
        trace -> Text,
        content -> Nullable<Binary>,
        payment -> Nullable<Binary>,
        decided_at -> BigInt,
        identity_source -> Nullable<Binary>,
        earlier -> Nullable<Text>,
    }
}

diesel::table! {
    registrations (id) {
        id -> Text,
        card_id -> Text,
        card_order -> BigInt,
        received_at -> BigInt,
        program -> Nullable<Text>,
        consumer_reference -> Nullable<Text>,
        content -> Binary,
        payment -> Nullable<Binary>,
        changes -> Text,
        tokens -> Nullable<Text>,
    }
}

diesel::table! {
    replays (id) {
        id -> Text,
        notification_id -> Text,
        at -> BigInt,
        operator -> Text,
        reason -> Text,
        verdict -> Text,
        rule -> Text,
        changes -> Text,
        card_order -> Nullable<BigInt>,
    }
}

diesel::table! {
    cards (id) {
        id -> Text,
        program -> Nullable<Text>,
        consumer_reference -> Nullable<Text>,
        status -> Nullable<Text>,
        state -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        heard_at -> BigInt,
        token_ends_at -> Nullable<BigInt>,
        token_told_at -> BigInt,
        suspended_since -> Nullable<BigInt>,
        cryptogram_due_since -> Nullable<BigInt>,
        digits_disagree_since -> Nullable<BigInt>,
        signs_noted -> Bool,
    }
}

diesel::table! {
    traffic (hour, program) {
        hour -> BigInt,
        program -> Text,
        items -> BigInt,
    }
}

diesel::table! {
    tokens (card_id) {
        card_id -> Text,
        number_version -> Integer,
        number -> Binary,
        expiration_month -> Nullable<Text>,
        expiration_year -> Nullable<Text>,
        rank -> Text,
        received_at -> BigInt,
        refreshed_at -> BigInt,
        checkout_wanted -> Nullable<Text>,
        registered_number -> Nullable<Binary>,
    }
}

diesel::table! {
    card_tokens (id) {
        id -> Text,
        card_id -> Text,
        digest -> Text,
        value -> Nullable<Binary>,
        relinking -> Bool,
        digest_source -> Nullable<Binary>,
    }
}

diesel::table! {
    cryptograms (card_id) {
        card_id -> Text,
        number_version -> Integer,
        value -> Binary,
        stored_at -> BigInt,
        data_type -> Nullable<Text>,
        expires_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    outbox (id) {
        id -> Text,
        kind -> Text,
        card_id -> Text,
        number_version -> Nullable<Integer>,
        notification_id -> Nullable<Text>,
        state -> Text,
        open_key -> Nullable<Text>,
        attempts -> Integer,
        next_at -> BigInt,
        created_at -> BigInt,
        last_status -> Nullable<Integer>,
        last_reason -> Nullable<Text>,
        program -> Nullable<Text>,
        priority -> Integer,
        reason -> Nullable<Text>,
        requestor -> Nullable<Text>,
        fence -> BigInt,
        lease_until -> Nullable<BigInt>,
        may_have_arrived -> Bool,
        flow_id -> Nullable<Text>,
        ended_at -> Nullable<BigInt>,
        command -> Nullable<Text>,
        token_id -> Nullable<Text>,
        command_order -> Nullable<BigInt>,
    }
}

diesel::table! {
    answers (id) {
        id -> Text,
        kind -> Text,
        card_id -> Text,
        card_order -> BigInt,
        job_id -> Nullable<Text>,
        as_of -> BigInt,
        received_at -> BigInt,
        verdict -> Text,
        rule -> Text,
        flags -> Text,
        changes -> Text,
        trace -> Text,
        content -> Nullable<Binary>,
        payment -> Nullable<Binary>,
    }
}

diesel::table! {
    events (sequence) {
        sequence -> BigInt,
        kind -> Text,
        at -> BigInt,
        card_id -> Text,
        data -> Text,
        horizon -> BigInt,
    }
}

diesel::table! {
    idempotency_keys (id) {
        id -> Text,
        request -> Text,
        status -> Integer,
        answer -> Text,
        created_at -> BigInt,
        request_source -> Nullable<Binary>,
    }
}

diesel::table! {
    api_keys (name) {
        name -> Text,
        role -> Text,
        digest -> Text,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    audit (writer, place) {
        writer -> Text,
        place -> BigInt,
        at -> BigInt,
        actor -> Text,
        origin -> Text,
        act -> Text,
        object -> Text,
        outcome -> Text,
        details -> Text,
        previous -> Text,
        hash -> Text,
    }
}

diesel::table! {
    audit_writers (writer) {
        writer -> Text,
        place -> BigInt,
        head -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    card_holds (card_id) {
        card_id -> Text,
        reason -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    erasures (card_id) {
        card_id -> Text,
        asked_at -> BigInt,
        erased_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    approved_keys (purpose, program, kid) {
        purpose -> Text,
        program -> Text,
        kid -> Text,
        fingerprint -> Text,
        first_seen_at -> BigInt,
        approved_at -> Nullable<BigInt>,
        approved_by -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    maintenance (id) {
        id -> Integer,
        reason -> Text,
        operator -> Text,
        at -> BigInt,
        drain_rate -> Nullable<Integer>,
        next_at -> BigInt,
    }
}

diesel::table! {
    key_uses (purpose, program, kid, fingerprint) {
        purpose -> Text,
        program -> Text,
        kid -> Text,
        fingerprint -> Text,
        used_at -> BigInt,
    }
}

diesel::joinable!(tokens -> cards (card_id));
diesel::allow_tables_to_appear_in_same_query!(
    audit,
    card_holds,
    card_tokens,
    cards,
    erasures,
    tokens,
    deliveries,
    notifications,
    outbox
);
