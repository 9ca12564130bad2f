//! The tables as diesel sees them; `migrations/` is the source, a test compares the two.

diesel::table! {
    tasks (id) {
        id -> BigInt,
        project -> Text,
        work_item -> Text,
        key -> Text,
        title -> Text,
        description -> Text,
        repo -> Text,
        branch -> Text,
        base -> Text,
        stage -> Text,
        stage_version -> BigInt,
        state -> Text,
        state_reason -> Nullable<Text>,
        cap_since -> BigInt,
        approved_at -> Nullable<BigInt>,
        said -> Nullable<Text>,
        head -> Nullable<Text>,
        progress_at -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        tidied -> Bool,
        worked -> Bool,
        round_head -> Nullable<Text>,
        recheck -> Bool,
        pull -> Nullable<BigInt>,
    }
}

diesel::table! {
    jobs (id) {
        id -> BigInt,
        kind -> Text,
        role -> Nullable<Text>,
        repo -> Nullable<Text>,
        task_id -> Nullable<BigInt>,
        status -> Text,
        attempts -> Integer,
        max_attempts -> Integer,
        transient_attempts -> Integer,
        recoveries -> Integer,
        run_id -> Nullable<Text>,
        error -> Nullable<Text>,
        note -> Nullable<Text>,
        worker -> Nullable<Text>,
        dedupe_key -> Nullable<Text>,
        order_key -> Nullable<Text>,
        ready -> Bool,
        available_at -> Nullable<BigInt>,
        created_at -> BigInt,
        started_at -> Nullable<BigInt>,
        finished_at -> Nullable<BigInt>,
        payload -> Text,
    }
}

diesel::table! {
    job_counts (kind, status) {
        kind -> Text,
        status -> Text,
        n -> BigInt,
    }
}

diesel::table! {
    deliveries (job_id) {
        job_id -> BigInt,
        source -> Text,
        key -> Binary,
        received_at -> BigInt,
    }
}

diesel::table! {
    runs (id) {
        id -> Text,
        job_id -> BigInt,
        task_id -> BigInt,
        role -> Text,
        stage -> Text,
        worker -> Text,
        host -> Text,
        dir -> Text,
        state -> Text,
        session_id -> Nullable<Text>,
        resumed -> Bool,
        head_before -> Nullable<Text>,
        started_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        exit_code -> Nullable<Integer>,
        exit_signal -> Nullable<Integer>,
        outcome -> Nullable<Text>,
        error -> Nullable<Text>,
        counts -> Bool,
        input_tokens -> BigInt,
        output_tokens -> BigInt,
        cache_tokens -> BigInt,
        cost_usd -> Double,
        cost_cumulative -> Double,
        turns -> Integer,
        model -> Nullable<Text>,
        cli_version -> Nullable<Text>,
        denied_tools -> Nullable<Text>,
        stop -> Nullable<Text>,
        estimated -> Bool,
        unpriced -> Bool,
        budget_stop -> Nullable<Text>,
    }
}

diesel::table! {
    gate_results (id) {
        id -> BigInt,
        task_id -> BigInt,
        job_id -> Nullable<BigInt>,
        gate -> Text,
        outcome -> Text,
        reason -> Nullable<Text>,
        head -> Nullable<Text>,
        command -> Nullable<Text>,
        exit_code -> Nullable<Integer>,
        duration_ms -> Nullable<BigInt>,
        at -> BigInt,
        tree -> Nullable<Text>,
        output_sha256 -> Nullable<Text>,
        evidence -> Nullable<Text>,
        detail -> Nullable<Text>,
    }
}

diesel::table! {
    published (task_id, commit_id) {
        task_id -> BigInt,
        commit_id -> Text,
    }
}

diesel::table! {
    ci_jobs (repo, page) {
        repo -> Text,
        page -> Text,
        job -> BigInt,
        sha -> Text,
        steps -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    leftovers (id) {
        id -> BigInt,
        task_id -> BigInt,
        run_id -> Nullable<Text>,
        kind -> Text,
        name -> Text,
        kept -> Nullable<Text>,
        commit_id -> Text,
        at -> BigInt,
        told -> Bool,
    }
}

diesel::table! {
    transitions (id) {
        id -> BigInt,
        task_id -> BigInt,
        job_id -> Nullable<BigInt>,
        version -> BigInt,
        trigger -> Text,
        actor -> Nullable<Text>,
        from_stage -> Text,
        to_stage -> Text,
        from_state -> Text,
        to_state -> Text,
        reason -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    workers (name) {
        name -> Text,
        host -> Text,
        pid -> Integer,
        pid_start -> BigInt,
        boot_id -> Text,
        version -> Text,
        state -> Text,
        max_concurrency -> Integer,
        poll_interval -> Double,
        preflight_ok -> Nullable<Bool>,
        preflight_reason -> Text,
        started_at -> BigInt,
        heartbeat_at -> BigInt,
    }
}

diesel::table! {
    accounts (name) {
        name -> Text,
        breaker -> Text,
        limit_until -> Nullable<BigInt>,
        limit_reason -> Nullable<Text>,
        fault -> Nullable<Text>,
        fault_at -> Nullable<BigInt>,
        updated_at -> BigInt,
    }
}

diesel::table! {
    refusals (source, reason) {
        source -> Text,
        reason -> Text,
        count -> BigInt,
        first_at -> BigInt,
        last_at -> BigInt,
    }
}

diesel::table! {
    cursors (name) {
        name -> Text,
        value -> Text,
        owner -> Nullable<Text>,
        until -> Nullable<BigInt>,
        updated_at -> BigInt,
    }
}

diesel::table! {
    outages (scope) {
        scope -> Text,
        since -> BigInt,
        words -> Text,
        told -> Bool,
    }
}

diesel::table! {
    held_jobs (job) {
        job -> BigInt,
        scope -> Nullable<Text>,
        tries -> Integer,
        since -> Nullable<BigInt>,
        told -> Bool,
        story_since -> Nullable<BigInt>,
        doubt -> Bool,
    }
}

diesel::table! {
    in_the_way (task, kind) {
        task -> BigInt,
        kind -> Text,
        detail -> Text,
        since -> BigInt,
    }
}

diesel::table! {
    repositories (repo) {
        repo -> Text,
        id -> BigInt,
        name -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(tasks, jobs, runs, gate_results, transitions, held_jobs);
