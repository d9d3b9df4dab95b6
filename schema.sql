-- rmetrics: the PostgreSQL schema (PostgreSQL 14 and newer)
--
--   1. Raw tables     rows of the exports, one row per key, the newest export wins
--   2. Aggregates     tables for dashboards: days, months, targets
--   3. Bookkeeping    runs, changes, freshness of the data
--   4. Views          queries defined once here, instead of in every panel
--
-- Above each index is the question it serves. Each table, view and column has a COMMENT.
--
-- Conventions
--   month          a date, always the first of its month
--   date, *_date   a business day: the calendar date in the time zone of the business (table "business")
--   time, *_at     timestamptz, an instant. "time" is noon of the business day: chart and filter on it, never on
--                  "date", which Grafana reads as midnight UTC and shows on the previous day
--   *_s            whole seconds
--   money          numeric(12,2) in the currency of the business. Ratios are plain numeric, 0.25 means 25 %
--   NULL           a column may be NULL only if its comment explains NULL
--
-- Applying this file again changes nothing. It names no schema and grants nothing: search_path selects the schema, and a
-- publish writes only rows that differ and never drops a table, so grants remain. To extend it, add new columns and
-- constraints to CREATE TABLE: rmetrics adds missing ones to tables of an earlier version. Add new columns of a view at
-- its end: PostgreSQL can add them in place only there.
--
-- Why source, segment, type and status are varchar and not ENUM
--   The rules (TOML) define the names, and a new channel must not need a migration. rmetrics restricts the values.
--   To restrict them in the database as well, prefer a check constraint, which is easy to drop:
--       ALTER TABLE daily_metrics ADD CONSTRAINT daily_metrics_segment_known CHECK (segment IN ('COD', 'INS', 'OTHER'))
--   A real ENUM is possible in a view. The columns themselves remain varchar, because a publish refuses other types:
--       CREATE TYPE metric_segment AS ENUM ('COD', 'INS', 'OTHER')
--       CREATE VIEW daily_metrics_typed AS SELECT *, segment::metric_segment AS segment_enum FROM daily_metrics


-- =====================================================================================================================
-- 1. Raw tables
-- =====================================================================================================================

-- ---------------------------------------------------------------------------------------------------------------- jobs

CREATE TABLE IF NOT EXISTS jobs (
    job_id       varchar        NOT NULL,
    job_uuid     varchar,
    type         varchar,
    source       varchar        NOT NULL,
    source_raw   varchar,
    segment      varchar        NOT NULL,
    status       varchar,
    created_at   timestamptz,
    job_date     date,
    metric_date  date,
    technician   varchar,
    city         varchar,
    zip          varchar,
    total        numeric(12,2),
    amount_paid  numeric(12,2),
    paid         numeric(12,2)  NOT NULL DEFAULT 0,
    is_unit      boolean        NOT NULL,
    is_repair    boolean        NOT NULL,
    source_matched varchar,
    matched_by   varchar,
    touch_id     varchar,
    CONSTRAINT jobs_pkey              PRIMARY KEY (job_id),
    CONSTRAINT jobs_source_not_blank  CHECK (btrim(source) <> ''),
    CONSTRAINT jobs_segment_not_blank CHECK (btrim(segment) <> '')
);

-- Which jobs make up this day or this month?
CREATE INDEX IF NOT EXISTS jobs_metric_date_idx ON jobs (metric_date);
-- Which jobs came from this touch?
CREATE INDEX IF NOT EXISTS jobs_touch_id_idx ON jobs (touch_id) WHERE touch_id IS NOT NULL;

COMMENT ON TABLE  jobs             IS 'Jobs of the CRM, one row per job, classified by the rules. Raw: the base of '
                                      'units, repairs and leads.';
COMMENT ON COLUMN jobs.job_id      IS 'Number of the job in the CRM, as text.';
COMMENT ON COLUMN jobs.job_uuid    IS 'Permanent identifier of the job in the CRM. NULL: not exported.';
COMMENT ON COLUMN jobs.type        IS 'Kind of job, such as COD Service or INS Repair. NULL: blank in the export.';
COMMENT ON COLUMN jobs.source      IS 'Channel of the job: its declared name, its own spelling if no rule declares '
                                      'it, Unattributed if blank.';
COMMENT ON COLUMN jobs.source_raw  IS 'Channel exactly as exported. NULL: blank in the export.';
COMMENT ON COLUMN jobs.segment     IS 'Who pays, by the rules: COD (customer), INS (insurance or warranty company), '
                                      'OTHER.';
COMMENT ON COLUMN jobs.status      IS 'Status as exported. Affects metrics only if a rule uses it. NULL: blank in the '
                                      'export.';
COMMENT ON COLUMN jobs.created_at  IS 'Moment the job was created, midnight of the business day if the export has '
                                      'only a date. NULL: blank in the export.';
COMMENT ON COLUMN jobs.job_date    IS 'Business day the visit is scheduled for. NULL: not scheduled or not exported.';
COMMENT ON COLUMN jobs.metric_date IS 'Business day on which the job counts in the metrics. NULL: no usable date, so '
                                      'the job does not count.';
COMMENT ON COLUMN jobs.technician  IS 'Technician, or several separated by commas, as exported. NULL: none assigned.';
COMMENT ON COLUMN jobs.city        IS 'City of the visit. NULL: blank in the export.';
COMMENT ON COLUMN jobs.zip         IS 'ZIP code as text, with leading zeros. NULL: blank in the export.';
COMMENT ON COLUMN jobs.total       IS 'Amount billed according to the CRM, money. Not revenue. NULL: blank in the '
                                      'export.';
COMMENT ON COLUMN jobs.amount_paid IS 'Amount paid according to the jobs export, money, for comparison only. NULL: '
                                      'blank in the export.';
COMMENT ON COLUMN jobs.paid        IS 'Sum of all counted payments of the job, whenever paid, money. 0 without '
                                      'payments.';
COMMENT ON COLUMN jobs.is_unit     IS 'True: the job counts as a unit (a service visit) by the rules.';
COMMENT ON COLUMN jobs.is_repair   IS 'True: the job counts as a repair by the rules. A job can be unit and repair.';
COMMENT ON COLUMN jobs.source_matched IS 'Channel of the touch that the job came from, by the rules of journeys; '
                                         'source is the channel in the CRM. NULL: no touch.';
COMMENT ON COLUMN jobs.matched_by  IS 'How the job was matched to its touch: uuid, phone, phone-other-source, '
                                      'phone-zip. NULL: no touch.';
COMMENT ON COLUMN jobs.touch_id    IS 'Touch that the job came from, a key of journeys. NULL: no touch.';

-- ------------------------------------------------------------------------------------------------------------ payments

CREATE TABLE IF NOT EXISTS payments (
    payment_id  varchar        NOT NULL,
    job_id      varchar,
    job_ref     varchar,
    paid_at     timestamptz,
    paid_date   date,
    amount      numeric(12,2)  NOT NULL,
    method      varchar,
    status      varchar,
    counted     boolean        NOT NULL,
    CONSTRAINT payments_pkey        PRIMARY KEY (payment_id),
    CONSTRAINT payments_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs (job_id)
);

-- What was paid on this day or in this month?
CREATE INDEX IF NOT EXISTS payments_paid_date_idx ON payments (paid_date);
-- What was paid for this job?
CREATE INDEX IF NOT EXISTS payments_job_id_idx ON payments (job_id);

COMMENT ON TABLE  payments            IS 'Payments of customers, one row per transaction. Raw: the base of revenue.';
COMMENT ON COLUMN payments.payment_id IS 'Identifier of the transaction, computed from its contents if the export has '
                                         'none.';
COMMENT ON COLUMN payments.job_id     IS 'The job paid for. NULL: no job, or one that is not in the jobs data. Its '
                                         'revenue then counts as Unattributed.';
COMMENT ON COLUMN payments.job_ref    IS 'Job number or identifier as exported. NULL: blank in the export.';
COMMENT ON COLUMN payments.paid_at    IS 'Moment of the payment. NULL: blank in the export.';
COMMENT ON COLUMN payments.paid_date  IS 'Business day of the payment. NULL: no usable date.';
COMMENT ON COLUMN payments.amount     IS 'Gross amount, money. Refunds are negative.';
COMMENT ON COLUMN payments.method     IS 'Method of payment as exported. NULL: blank in the export.';
COMMENT ON COLUMN payments.status     IS 'Status as exported. NULL: blank in the export.';
COMMENT ON COLUMN payments.counted    IS 'True: the rules count this row. False: failed, voided and similar payments, '
                                         'kept here but not included in sums.';

-- --------------------------------------------------------------------------------------------------------------- calls

CREATE TABLE IF NOT EXISTS calls (
    call_id     varchar      NOT NULL,
    started_at  timestamptz,
    call_date   date,
    direction   varchar,
    source      varchar,
    answered    boolean,
    duration_s  integer,
    class       varchar,
    answered_within_s integer,
    job_id      varchar,
    CONSTRAINT calls_pkey                 PRIMARY KEY (call_id),
    CONSTRAINT calls_job_id_fkey          FOREIGN KEY (job_id) REFERENCES jobs (job_id),
    CONSTRAINT calls_duration_not_negative CHECK (duration_s >= 0),
    CONSTRAINT calls_wait_not_negative     CHECK (answered_within_s >= 0)
);

-- Which calls came on this day or in this month?
CREATE INDEX IF NOT EXISTS calls_call_date_idx ON calls (call_date);
-- Which calls belong to this job?
CREATE INDEX IF NOT EXISTS calls_job_id_idx ON calls (job_id);

COMMENT ON TABLE  calls            IS 'Phone calls, one row per call, without names and numbers. Raw: the base of the '
                                      'call funnel.';
COMMENT ON COLUMN calls.call_id    IS 'Identifier of the call, computed from its contents if the export has none.';
COMMENT ON COLUMN calls.started_at IS 'Moment the call began. NULL: blank in the export.';
COMMENT ON COLUMN calls.call_date  IS 'Business day of the call. NULL: no usable date.';
COMMENT ON COLUMN calls.direction  IS 'inbound or outbound. NULL: not in the export.';
COMMENT ON COLUMN calls.source     IS 'Channel that the rules assign to the call. NULL: no rule matched.';
COMMENT ON COLUMN calls.answered   IS 'True: somebody answered. False: missed. NULL: not in the export.';
COMMENT ON COLUMN calls.duration_s IS 'Length in seconds. NULL: not exported.';
COMMENT ON COLUMN calls.class      IS 'Outcome of an inbound call: answered, missed and called back, missed but '
                                      'booked anyway, missed and lost, existing job, not a customer, own number. '
                                      'NULL: not an inbound call, or one that the rules do not count.';
COMMENT ON COLUMN calls.answered_within_s IS 'Seconds from the call until the caller was reached, in business hours; '
                                             '0: answered immediately. NULL: not reached, or not an inbound call.';
COMMENT ON COLUMN calls.job_id     IS 'Job that the call led to. NULL: none, or one that is not in the jobs data.';

-- ------------------------------------------------------------------------------------------------------- elocals_leads

CREATE TABLE IF NOT EXISTS elocals_leads (
    lead_id     varchar        NOT NULL,
    lead_at     timestamptz,
    lead_date   date,
    cost        numeric(12,2),
    status      varchar,
    duration_s  integer,
    zip         varchar,
    CONSTRAINT elocals_leads_pkey                 PRIMARY KEY (lead_id),
    CONSTRAINT elocals_leads_duration_not_negative CHECK (duration_s >= 0)
);

-- Which leads came on this day or in this month?
CREATE INDEX IF NOT EXISTS elocals_leads_lead_date_idx ON elocals_leads (lead_date);

COMMENT ON TABLE  elocals_leads            IS 'Leads sold by eLocals, one row per lead. Raw: the base of its leads '
                                              'and cost.';
COMMENT ON COLUMN elocals_leads.lead_id    IS 'Identifier given by eLocals, as text.';
COMMENT ON COLUMN elocals_leads.lead_at    IS 'Moment of the lead. NULL: blank in the export.';
COMMENT ON COLUMN elocals_leads.lead_date  IS 'Business day of the lead. NULL: no usable date.';
COMMENT ON COLUMN elocals_leads.cost       IS 'Price of the lead, money. 0 after a credit. NULL: blank in the export, '
                                              'not charged.';
COMMENT ON COLUMN elocals_leads.status     IS 'Billing status as exported. NULL: blank in the export.';
COMMENT ON COLUMN elocals_leads.duration_s IS 'Length of the call in seconds. NULL: not a call or not exported.';
COMMENT ON COLUMN elocals_leads.zip        IS 'ZIP code as text, with leading zeros. NULL: blank in the export.';

-- -------------------------------------------------------------------------------------------------------- proref_leads

CREATE TABLE IF NOT EXISTS proref_leads (
    lead_id         varchar      NOT NULL,
    lead_at         timestamptz,
    lead_date       date,
    current_status  varchar,
    zip             varchar,
    CONSTRAINT proref_leads_pkey PRIMARY KEY (lead_id)
);

-- Which leads came on this day or in this month?
CREATE INDEX IF NOT EXISTS proref_leads_lead_date_idx ON proref_leads (lead_date);

COMMENT ON TABLE  proref_leads                IS 'Leads of Pro Referral, one row per lead. Raw: the base of its leads '
                                                 'and cost.';
COMMENT ON COLUMN proref_leads.lead_id        IS 'Identifier given by Pro Referral, as text.';
COMMENT ON COLUMN proref_leads.lead_at        IS 'Moment of the lead. NULL: blank in the export.';
COMMENT ON COLUMN proref_leads.lead_date      IS 'Business day of the lead. NULL: no usable date.';
COMMENT ON COLUMN proref_leads.current_status IS 'Stage of the lead in the newest export. Passed = declined, not a '
                                                 'lead. NULL: blank, still a lead.';
COMMENT ON COLUMN proref_leads.zip            IS 'ZIP code as text, with leading zeros. NULL: blank in the export.';

-- -------------------------------------------------------------------------------------------------------- google_spend

-- What was spent in this month? The primary key begins with the month.
CREATE TABLE IF NOT EXISTS google_spend (
    month     date           NOT NULL,
    campaign  varchar        NOT NULL,
    spend     numeric(12,2)  NOT NULL,
    CONSTRAINT google_spend_pkey               PRIMARY KEY (month, campaign),
    CONSTRAINT google_spend_month_is_first     CHECK (extract(day FROM month) = 1),
    CONSTRAINT google_spend_campaign_not_blank CHECK (btrim(campaign) <> '')
);

COMMENT ON TABLE  google_spend          IS 'Google advertising spend, one row per month and campaign. Raw: the rules '
                                           'spread it over the days of the month.';
COMMENT ON COLUMN google_spend.month    IS 'Month of the spend, its first day.';
COMMENT ON COLUMN google_spend.campaign IS 'Campaign, (all) if the sheet has none.';
COMMENT ON COLUMN google_spend.spend    IS 'Amount spent in the month, money.';


-- =====================================================================================================================
-- 2. Aggregates
-- =====================================================================================================================

-- ------------------------------------------------------------------------------------------------------- daily_metrics

-- All days of this month? Everything about this date, source and segment? The primary key begins with the date.
CREATE TABLE IF NOT EXISTS daily_metrics (
    date             date           NOT NULL,
    source           varchar        NOT NULL,
    segment          varchar        NOT NULL,
    time             timestamptz    NOT NULL,
    jobs             bigint         NOT NULL DEFAULT 0,
    leads            bigint         NOT NULL DEFAULT 0,
    units            bigint         NOT NULL DEFAULT 0,
    repairs          bigint         NOT NULL DEFAULT 0,
    revenue_gross    numeric(12,2)  NOT NULL DEFAULT 0,
    revenue40        numeric(18,6)  NOT NULL DEFAULT 0,
    cost             numeric(12,2)  NOT NULL DEFAULT 0,
    conv_l2u         numeric        GENERATED ALWAYS AS (units::numeric / nullif(leads, 0)) STORED,
    conv_l2r         numeric        GENERATED ALWAYS AS (repairs::numeric / nullif(leads, 0)) STORED,
    conv_u2r         numeric        GENERATED ALWAYS AS (repairs::numeric / nullif(units, 0)) STORED,
    cpl              numeric        GENERATED ALWAYS AS (cost / nullif(leads, 0)) STORED,
    cost_per_repair  numeric        GENERATED ALWAYS AS (cost / nullif(repairs, 0)) STORED,
    avg_ticket       numeric        GENERATED ALWAYS AS (revenue_gross / nullif(repairs, 0)) STORED,
    profit           numeric(18,6)  GENERATED ALWAYS AS (revenue40 - cost) STORED,
    CONSTRAINT daily_metrics_pkey                PRIMARY KEY (date, source, segment),
    CONSTRAINT daily_metrics_source_is_a_name    CHECK (btrim(source) <> '' AND source <> 'ALL'),
    CONSTRAINT daily_metrics_segment_is_a_name   CHECK (btrim(segment) <> '' AND segment <> 'ALL'),
    CONSTRAINT daily_metrics_counts_not_negative CHECK (jobs >= 0 AND leads >= 0 AND units >= 0 AND repairs >= 0)
);

-- What falls into the time range of a panel?
CREATE INDEX IF NOT EXISTS daily_metrics_time_idx ON daily_metrics (time);
-- How does this source do, day by day?
CREATE INDEX IF NOT EXISTS daily_metrics_source_idx ON daily_metrics (source, date);
-- How does this segment do, day by day?
CREATE INDEX IF NOT EXISTS daily_metrics_segment_idx ON daily_metrics (segment, date);

COMMENT ON TABLE  daily_metrics                 IS 'Metrics per business day, source and segment. A day without a row '
                                                   'means 0 everywhere. Add up the measures, then divide: the ratios '
                                                   'apply to one row and must not be averaged or summed.';
COMMENT ON COLUMN daily_metrics.date            IS 'Business day.';
COMMENT ON COLUMN daily_metrics.source          IS 'Channel, Unattributed if unknown. Never ALL.';
COMMENT ON COLUMN daily_metrics.segment         IS 'COD, INS or OTHER, as named in the rules. Never ALL.';
COMMENT ON COLUMN daily_metrics.time            IS 'Noon of the business day in the time zone of the business. Chart '
                                                   'and filter on this one.';
COMMENT ON COLUMN daily_metrics.jobs            IS 'Number of jobs.';
COMMENT ON COLUMN daily_metrics.leads           IS 'Number of leads by the rule of the source.';
COMMENT ON COLUMN daily_metrics.units           IS 'Number of jobs that are units (service visits).';
COMMENT ON COLUMN daily_metrics.repairs         IS 'Number of jobs that are repairs.';
COMMENT ON COLUMN daily_metrics.revenue_gross   IS 'Sum of counted payments, money, refunds subtracted.';
COMMENT ON COLUMN daily_metrics.revenue40       IS 'Revenue left after technician and fixed costs: gross times the '
                                                   'share in force, money, exact to six decimals.';
COMMENT ON COLUMN daily_metrics.cost            IS 'Cost of the leads, money.';
COMMENT ON COLUMN daily_metrics.conv_l2u        IS 'units / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN daily_metrics.conv_l2r        IS 'repairs / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN daily_metrics.conv_u2r        IS 'repairs / units, a ratio. NULL: no units.';
COMMENT ON COLUMN daily_metrics.cpl             IS 'Cost per lead, cost / leads, money. NULL: no leads.';
COMMENT ON COLUMN daily_metrics.cost_per_repair IS 'cost / repairs, money. NULL: no repairs.';
COMMENT ON COLUMN daily_metrics.avg_ticket      IS 'Average ticket, revenue_gross / repairs, money. NULL: no repairs.';
COMMENT ON COLUMN daily_metrics.profit          IS 'revenue40 - cost, money. Never NULL.';

-- ----------------------------------------------------------------------------------------------------- monthly_metrics

-- All metrics by month, source and segment? The primary key, in that order.
CREATE TABLE IF NOT EXISTS monthly_metrics (
    month            date           NOT NULL,
    source           varchar        NOT NULL,
    segment          varchar        NOT NULL,
    time             timestamptz    NOT NULL,
    jobs             bigint         NOT NULL DEFAULT 0,
    leads            bigint         NOT NULL DEFAULT 0,
    units            bigint         NOT NULL DEFAULT 0,
    repairs          bigint         NOT NULL DEFAULT 0,
    revenue_gross    numeric(12,2)  NOT NULL DEFAULT 0,
    revenue40        numeric(18,6)  NOT NULL DEFAULT 0,
    cost             numeric(12,2)  NOT NULL DEFAULT 0,
    conv_l2u         numeric        GENERATED ALWAYS AS (units::numeric / nullif(leads, 0)) STORED,
    conv_l2r         numeric        GENERATED ALWAYS AS (repairs::numeric / nullif(leads, 0)) STORED,
    conv_u2r         numeric        GENERATED ALWAYS AS (repairs::numeric / nullif(units, 0)) STORED,
    cpl              numeric        GENERATED ALWAYS AS (cost / nullif(leads, 0)) STORED,
    cost_per_repair  numeric        GENERATED ALWAYS AS (cost / nullif(repairs, 0)) STORED,
    avg_ticket       numeric        GENERATED ALWAYS AS (revenue_gross / nullif(repairs, 0)) STORED,
    profit           numeric(18,6)  GENERATED ALWAYS AS (revenue40 - cost) STORED,
    CONSTRAINT monthly_metrics_pkey                PRIMARY KEY (month, source, segment),
    CONSTRAINT monthly_metrics_month_is_first      CHECK (extract(day FROM month) = 1),
    CONSTRAINT monthly_metrics_source_is_a_name    CHECK (btrim(source) <> '' AND source <> 'ALL'),
    CONSTRAINT monthly_metrics_segment_is_a_name   CHECK (btrim(segment) <> '' AND segment <> 'ALL'),
    CONSTRAINT monthly_metrics_counts_not_negative CHECK (jobs >= 0 AND leads >= 0 AND units >= 0 AND repairs >= 0)
);

-- What falls into the time range of a panel?
CREATE INDEX IF NOT EXISTS monthly_metrics_time_idx ON monthly_metrics (time);
-- How does this source do, month by month?
CREATE INDEX IF NOT EXISTS monthly_metrics_source_idx ON monthly_metrics (source, month);
-- How does this segment do, month by month?
CREATE INDEX IF NOT EXISTS monthly_metrics_segment_idx ON monthly_metrics (segment, month);

COMMENT ON TABLE  monthly_metrics                 IS 'Metrics per month, source and segment: exactly the sum of '
                                                     'daily_metrics. Add up the measures, then divide: the ratios '
                                                     'apply to one row and must not be averaged or summed.';
COMMENT ON COLUMN monthly_metrics.month           IS 'Month, its first day.';
COMMENT ON COLUMN monthly_metrics.source          IS 'Channel, Unattributed if unknown. Never ALL.';
COMMENT ON COLUMN monthly_metrics.segment         IS 'COD, INS or OTHER, as named in the rules. Never ALL.';
COMMENT ON COLUMN monthly_metrics.time            IS 'Noon of the first of the month in the time zone of the '
                                                     'business. Chart and filter on this one.';
COMMENT ON COLUMN monthly_metrics.jobs            IS 'Number of jobs.';
COMMENT ON COLUMN monthly_metrics.leads           IS 'Number of leads by the rule of the source.';
COMMENT ON COLUMN monthly_metrics.units           IS 'Number of jobs that are units (service visits).';
COMMENT ON COLUMN monthly_metrics.repairs         IS 'Number of jobs that are repairs.';
COMMENT ON COLUMN monthly_metrics.revenue_gross   IS 'Sum of counted payments, money, refunds subtracted.';
COMMENT ON COLUMN monthly_metrics.revenue40       IS 'Revenue left after technician and fixed costs: gross times the '
                                                     'share in force, money, exact to six decimals.';
COMMENT ON COLUMN monthly_metrics.cost            IS 'Cost of the leads, money.';
COMMENT ON COLUMN monthly_metrics.conv_l2u        IS 'units / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN monthly_metrics.conv_l2r        IS 'repairs / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN monthly_metrics.conv_u2r        IS 'repairs / units, a ratio. NULL: no units.';
COMMENT ON COLUMN monthly_metrics.cpl             IS 'Cost per lead, cost / leads, money. NULL: no leads.';
COMMENT ON COLUMN monthly_metrics.cost_per_repair IS 'cost / repairs, money. NULL: no repairs.';
COMMENT ON COLUMN monthly_metrics.avg_ticket      IS 'Average ticket, revenue_gross / repairs, money. NULL: no '
                                                     'repairs.';
COMMENT ON COLUMN monthly_metrics.profit          IS 'revenue40 - cost, money. Never NULL.';

-- ------------------------------------------------------------------------------------------------------------ journeys

CREATE TABLE IF NOT EXISTS journeys (
    touch_id           varchar        NOT NULL,
    feed               varchar        NOT NULL,
    source             varchar        NOT NULL,
    touch_at           timestamptz    NOT NULL,
    touch_date         date           NOT NULL,
    month              date           NOT NULL,
    answered           boolean,
    booked             boolean        NOT NULL,
    visited            boolean        NOT NULL,
    repaired           boolean        NOT NULL,
    jobs               bigint         NOT NULL,
    job_id             varchar,
    matched_by         varchar        NOT NULL,
    reason             varchar,
    returning_customer boolean,
    cost               numeric(12,2)  NOT NULL,
    paid               numeric(12,2)  NOT NULL,
    revenue40          numeric(18,6)  NOT NULL,
    CONSTRAINT journeys_pkey               PRIMARY KEY (touch_id),
    CONSTRAINT journeys_month_is_first     CHECK (extract(day FROM month) = 1),
    CONSTRAINT journeys_booked_or_a_reason CHECK (booked = (reason IS NULL) AND booked = (job_id IS NOT NULL))
);

-- What became of the leads of this day or this month?
CREATE INDEX IF NOT EXISTS journeys_touch_date_idx ON journeys (touch_date);
-- What became of the leads of this source?
CREATE INDEX IF NOT EXISTS journeys_source_idx ON journeys (source, month);
-- Which lead led to this job?
CREATE INDEX IF NOT EXISTS journeys_job_id_idx ON journeys (job_id) WHERE job_id IS NOT NULL;

COMMENT ON TABLE  journeys                    IS 'Touches and their outcomes: a counting row of a lead feed, or an '
                                                 'inbound call of a source without one. Contains no phone numbers.';
COMMENT ON COLUMN journeys.touch_id           IS 'The feed and the key of its row.';
COMMENT ON COLUMN journeys.feed               IS 'Feed of the row.';
COMMENT ON COLUMN journeys.source             IS 'Channel of the touch.';
COMMENT ON COLUMN journeys.touch_at           IS 'Moment of the touch, noon if the feed has only a date.';
COMMENT ON COLUMN journeys.touch_date         IS 'Business day of the touch.';
COMMENT ON COLUMN journeys.month              IS 'Month of the touch, its first day.';
COMMENT ON COLUMN journeys.answered           IS 'Whether somebody answered: the call itself, or a call of the same '
                                                 'number and source within ten minutes. NULL: not known from any '
                                                 'call.';
COMMENT ON COLUMN journeys.booked             IS 'True: the touch led to a job.';
COMMENT ON COLUMN journeys.visited            IS 'True: one of its jobs is a unit (a service visit).';
COMMENT ON COLUMN journeys.repaired           IS 'True: one of its jobs is a repair.';
COMMENT ON COLUMN journeys.jobs               IS 'Number of jobs that came from the touch.';
COMMENT ON COLUMN journeys.job_id             IS 'The first of its jobs; all of them have its touch_id. NULL: none.';
COMMENT ON COLUMN journeys.matched_by         IS 'How that job was matched: uuid (the CRM names it), phone (same number '
                                                 'and source), phone-other-source (same number, the CRM names another '
                                                 'source), phone-zip (shared number, same ZIP code), none.';
COMMENT ON COLUMN journeys.reason             IS 'Reason why the touch has no job: no-job (none was created, or it '
                                                 'came from another touch), no-number, shared (a number of many '
                                                 'customers), outside-window. NULL: it has a job.';
COMMENT ON COLUMN journeys.returning_customer IS 'True: the number had a job before the day of the touch. NULL: no '
                                                 'number of its own.';
COMMENT ON COLUMN journeys.cost               IS 'Cost of the touch itself, money. 0 if its source is paid by the '
                                                 'month or is free.';
COMMENT ON COLUMN journeys.paid               IS 'Amount paid for its jobs, whenever paid, money.';
COMMENT ON COLUMN journeys.revenue40          IS 'The share of this amount left after technician and fixed costs, '
                                                 'money, exact to six decimals.';

-- ----------------------------------------------------------------------------------------------------- journey_metrics

-- The funnel of a month? The primary key, in that order.
CREATE TABLE IF NOT EXISTS journey_metrics (
    month               date           NOT NULL,
    source              varchar        NOT NULL,
    time                timestamptz    NOT NULL,
    touches             bigint         NOT NULL DEFAULT 0,
    answered            bigint         NOT NULL DEFAULT 0,
    booked              bigint         NOT NULL DEFAULT 0,
    visited             bigint         NOT NULL DEFAULT 0,
    repaired            bigint         NOT NULL DEFAULT 0,
    paid                bigint         NOT NULL DEFAULT 0,
    no_job              bigint         NOT NULL DEFAULT 0,
    no_number           bigint         NOT NULL DEFAULT 0,
    shared              bigint         NOT NULL DEFAULT 0,
    outside_window      bigint         NOT NULL DEFAULT 0,
    by_link             bigint         NOT NULL DEFAULT 0,
    returning_customers bigint         NOT NULL DEFAULT 0,
    booked_returning    bigint         NOT NULL DEFAULT 0,
    jobs                bigint         NOT NULL DEFAULT 0,
    touch_cost          numeric(12,2)  NOT NULL DEFAULT 0,
    cost                numeric(12,2)  NOT NULL DEFAULT 0,
    revenue_gross       numeric(12,2)  NOT NULL DEFAULT 0,
    revenue40           numeric(18,6)  NOT NULL DEFAULT 0,
    cost_per_booked     numeric        GENERATED ALWAYS AS (cost / nullif(booked, 0)) STORED,
    cost_per_repair     numeric        GENERATED ALWAYS AS (cost / nullif(repaired, 0)) STORED,
    roas                numeric        GENERATED ALWAYS AS (revenue_gross / nullif(cost, 0)) STORED,
    CONSTRAINT journey_metrics_pkey            PRIMARY KEY (month, source),
    CONSTRAINT journey_metrics_month_is_first  CHECK (extract(day FROM month) = 1),
    CONSTRAINT journey_metrics_add_up          CHECK (touches = booked + no_job + no_number + shared + outside_window)
);

-- What falls into the time range of a panel?
CREATE INDEX IF NOT EXISTS journey_metrics_time_idx ON journey_metrics (time);
-- How does this source's funnel do, month by month?
CREATE INDEX IF NOT EXISTS journey_metrics_source_idx ON journey_metrics (source, month);

COMMENT ON TABLE  journey_metrics                     IS 'The funnel by the month of the touch and its source. Add up '
                                                         'the measures, then divide: the ratios apply to one row.';
COMMENT ON COLUMN journey_metrics.month               IS 'Month of the touches, its first day.';
COMMENT ON COLUMN journey_metrics.source              IS 'Channel of the touches. Never ALL.';
COMMENT ON COLUMN journey_metrics.time                IS 'Noon of the first of the month in the time zone of the '
                                                         'business. Chart and filter on this one.';
COMMENT ON COLUMN journey_metrics.touches             IS 'Number of touches.';
COMMENT ON COLUMN journey_metrics.answered            IS 'Touches known to be answered.';
COMMENT ON COLUMN journey_metrics.booked              IS 'Touches that led to a job.';
COMMENT ON COLUMN journey_metrics.visited             IS 'Touches that led to a unit (a service visit).';
COMMENT ON COLUMN journey_metrics.repaired            IS 'Touches that led to a repair.';
COMMENT ON COLUMN journey_metrics.paid                IS 'Touches whose jobs were paid more than 0 in all.';
COMMENT ON COLUMN journey_metrics.no_job              IS 'Touches without a job: none was created, or it came from '
                                                         'another touch.';
COMMENT ON COLUMN journey_metrics.no_number           IS 'Touches without a number to match.';
COMMENT ON COLUMN journey_metrics.shared              IS 'Touches without a job whose number many customers share.';
COMMENT ON COLUMN journey_metrics.outside_window      IS 'Touches without a job whose number has jobs outside the '
                                                         'window.';
COMMENT ON COLUMN journey_metrics.by_link             IS 'Touches whose job is named by the CRM.';
COMMENT ON COLUMN journey_metrics.returning_customers IS 'Touches whose number had a job before.';
COMMENT ON COLUMN journey_metrics.booked_returning    IS 'Touches of returning customers that led to a job.';
COMMENT ON COLUMN journey_metrics.jobs                IS 'Number of jobs that came from the touches.';
COMMENT ON COLUMN journey_metrics.touch_cost          IS 'Cost of the touches themselves, money.';
COMMENT ON COLUMN journey_metrics.cost                IS 'Total cost of the source in the month, money: the cost of '
                                                         'monthly_metrics.';
COMMENT ON COLUMN journey_metrics.revenue_gross       IS 'Amount paid for the jobs of the touches, whenever paid, '
                                                         'money.';
COMMENT ON COLUMN journey_metrics.revenue40           IS 'The share of this amount left after technician and fixed '
                                                         'costs, money, exact to six decimals.';
COMMENT ON COLUMN journey_metrics.cost_per_booked     IS 'Cost per booked touch, cost / booked, money. NULL: none '
                                                         'booked.';
COMMENT ON COLUMN journey_metrics.cost_per_repair     IS 'Cost per repair, cost / repaired, money. NULL: no repair.';
COMMENT ON COLUMN journey_metrics.roas                IS 'Return on ad spend, revenue_gross / cost, a ratio. NULL: no '
                                                         'cost.';
-- ------------------------------------------------------------------------------------------------------------ measures

CREATE TABLE IF NOT EXISTS measures (
    measure      varchar  NOT NULL,
    place        integer  NOT NULL,
    title        varchar  NOT NULL,
    format       varchar  NOT NULL,
    own          boolean  NOT NULL,
    numerator    varchar,
    denominator  varchar,
    rule         varchar  NOT NULL,
    CONSTRAINT measures_pkey             PRIMARY KEY (measure),
    CONSTRAINT measures_ratio_has_both   CHECK ((numerator IS NULL) = (denominator IS NULL)),
    CONSTRAINT measures_format_is_known  CHECK (format IN ('count', 'money', 'percent', 'number'))
);

COMMENT ON TABLE  measures             IS 'Measures declared in the rules, with title, format and definition.';
COMMENT ON COLUMN measures.measure     IS 'Name of the measure, as in measure_daily, dimension_monthly and '
                                          'measure_monthly.';
COMMENT ON COLUMN measures.place       IS 'Position in the list: the standard measures first, then those of the '
                                          'company, as declared.';
COMMENT ON COLUMN measures.title       IS 'Display name.';
COMMENT ON COLUMN measures.format      IS 'Format: count, money, percent (0.25 means 25 %) or number.';
COMMENT ON COLUMN measures.own         IS 'false: a column of daily_metrics and monthly_metrics. true: declared by the '
                                          'company.';
COMMENT ON COLUMN measures.numerator   IS 'Numerator of a ratio: name of a measure. NULL: it is a sum, not a ratio.';
COMMENT ON COLUMN measures.denominator IS 'Denominator of a ratio: name of a measure. NULL: it is a sum, not a ratio.';
COMMENT ON COLUMN measures.rule        IS 'The rule in words.';

-- ------------------------------------------------------------------------------------------------------- measure_daily

-- All days of this month? Everything about this date, source and segment? The primary key begins with the date.
CREATE TABLE IF NOT EXISTS measure_daily (
    date     date           NOT NULL,
    source   varchar        NOT NULL,
    segment  varchar        NOT NULL,
    measure  varchar        NOT NULL,
    time     timestamptz    NOT NULL,
    value    numeric(18,6)  NOT NULL,
    CONSTRAINT measure_daily_pkey PRIMARY KEY (date, source, segment, measure)
);

-- How does this measure do, day by day?
CREATE INDEX IF NOT EXISTS measure_daily_measure_idx ON measure_daily (measure, date);

COMMENT ON TABLE  measure_daily         IS 'Measures of the company per business day, source and segment. A key '
                                           'without a row means 0. Contains sums only; ratios are computed from them.';
COMMENT ON COLUMN measure_daily.date    IS 'Business day.';
COMMENT ON COLUMN measure_daily.source  IS 'Channel, Unattributed if unknown. Never ALL.';
COMMENT ON COLUMN measure_daily.segment IS 'COD, INS or OTHER, as named in the rules. Never ALL.';
COMMENT ON COLUMN measure_daily.measure IS 'Name of the measure, see measures.';
COMMENT ON COLUMN measure_daily.time    IS 'Noon of the business day in the time zone of the business. Chart and filter '
                                           'on this one.';
COMMENT ON COLUMN measure_daily.value   IS 'The sum: a count, money or a plain number, see measures.format. Never 0.';

-- --------------------------------------------------------------------------------------------------- dimension_monthly

-- Everything about this month and dimension? The primary key, in that order.
CREATE TABLE IF NOT EXISTS dimension_monthly (
    month      date           NOT NULL,
    dimension  varchar        NOT NULL,
    member     varchar        NOT NULL,
    measure    varchar        NOT NULL,
    time       timestamptz    NOT NULL,
    value      numeric(18,6)  NOT NULL,
    additive   boolean        NOT NULL,
    CONSTRAINT dimension_monthly_pkey           PRIMARY KEY (month, dimension, member, measure),
    CONSTRAINT dimension_monthly_month_is_first CHECK (extract(day FROM month) = 1)
);

-- How does this member do, month by month?
CREATE INDEX IF NOT EXISTS dimension_monthly_member_idx ON dimension_monthly (dimension, member, month);

COMMENT ON TABLE  dimension_monthly           IS 'All sums per month and member of a dimension, such as a technician '
                                                 'or a zip. The members, including (none) and (other), add up to the '
                                                 'month if additive is true. A key without a row means 0.';
COMMENT ON COLUMN dimension_monthly.month     IS 'Month, its first day.';
COMMENT ON COLUMN dimension_monthly.dimension IS 'Name of the dimension, as declared in the rules.';
COMMENT ON COLUMN dimension_monthly.member    IS 'Member of the dimension. (none): rows without one, such as payments '
                                                 'without a known job. (other): members beyond the limit of the '
                                                 'dimension.';
COMMENT ON COLUMN dimension_monthly.measure   IS 'Name of the measure, see measures.';
COMMENT ON COLUMN dimension_monthly.time      IS 'Noon of the first of the month in the time zone of the business. '
                                                 'Chart and filter on this one.';
COMMENT ON COLUMN dimension_monthly.value     IS 'The sum: a count, money or a plain number, see measures.format. '
                                                 'Never 0.';
COMMENT ON COLUMN dimension_monthly.additive  IS 'True: the members add up to the month. False: a row counts for '
                                                 'every member it names, so members must not be added up.';

-- ------------------------------------------------------------------------------------------------------------- targets

-- Which targets hold for this month? The primary key begins with the month.
CREATE TABLE IF NOT EXISTS targets (
    month             date           NOT NULL,
    source            varchar        NOT NULL DEFAULT 'ALL',
    segment           varchar        NOT NULL DEFAULT 'ALL',
    target_repairs    numeric(12,2),
    target_revenue40  numeric(12,2),
    target_conv_l2r   numeric(9,6),
    target_cpl_max    numeric(12,2),
    CONSTRAINT targets_pkey              PRIMARY KEY (month, source, segment),
    CONSTRAINT targets_month_is_first    CHECK (extract(day FROM month) = 1),
    CONSTRAINT targets_source_not_blank  CHECK (btrim(source) <> ''),
    CONSTRAINT targets_segment_not_blank CHECK (btrim(segment) <> '')
);

COMMENT ON TABLE  targets                  IS 'Monthly targets. A row for ALL is a separate target: it is not the sum '
                                              'of the other rows and is never added to them.';
COMMENT ON COLUMN targets.month            IS 'Month, its first day.';
COMMENT ON COLUMN targets.source           IS 'Channel, or ALL for the whole company.';
COMMENT ON COLUMN targets.segment          IS 'Segment, or ALL for all segments together.';
COMMENT ON COLUMN targets.target_repairs   IS 'Repairs to reach in the month. NULL: no target.';
COMMENT ON COLUMN targets.target_revenue40 IS 'revenue40 to reach in the month, money. NULL: no target.';
COMMENT ON COLUMN targets.target_conv_l2r  IS 'repairs / leads to reach, a ratio. NULL: no target.';
COMMENT ON COLUMN targets.target_cpl_max   IS 'Highest allowed cost of a lead, money. NULL: no limit.';


-- =====================================================================================================================
-- 3. Bookkeeping
-- =====================================================================================================================

-- ------------------------------------------------------------------------------------------------------------ business

-- Refuses a time zone unknown to this server here, not later in a panel.
CREATE TABLE IF NOT EXISTS business (
    only_row  boolean  NOT NULL DEFAULT true,
    timezone  varchar  NOT NULL,
    currency  varchar  NOT NULL,
    CONSTRAINT business_pkey           PRIMARY KEY (only_row),
    CONSTRAINT business_only_row       CHECK (only_row),
    CONSTRAINT business_timezone_known CHECK ((timestamp '2000-01-01 12:00' AT TIME ZONE timezone) IS NOT NULL)
);

COMMENT ON TABLE  business          IS 'The business as described in the rules. One row, written by every publish, '
                                       'from which views derive local noon and today.';
COMMENT ON COLUMN business.only_row IS 'Always true: prevents a second row.';
COMMENT ON COLUMN business.timezone IS 'IANA time zone of business days, such as America/New_York.';
COMMENT ON COLUMN business.currency IS 'ISO 4217 code of all money in these tables, such as USD.';

-- Fills in "time" for rows entered by hand: noon of their day in the zone of the business, or in UTC before the first
-- publish. Not called for rows with a time, such as those of a publish.
CREATE OR REPLACE FUNCTION rmetrics_fill_time() RETURNS trigger LANGUAGE plpgsql AS
'DECLARE day date := to_jsonb(NEW) ->> TG_ARGV[0]; zone varchar; '
'BEGIN '
'EXECUTE format(''SELECT timezone FROM %I.business'', TG_TABLE_SCHEMA) INTO zone; '
'NEW.time := (day + time ''12:00'') AT TIME ZONE coalesce(zone, ''UTC''); '
'RETURN NEW; '
'END';
CREATE OR REPLACE TRIGGER daily_metrics_fill_time BEFORE INSERT ON daily_metrics
    FOR EACH ROW WHEN (NEW.time IS NULL) EXECUTE FUNCTION rmetrics_fill_time('date');
CREATE OR REPLACE TRIGGER monthly_metrics_fill_time BEFORE INSERT ON monthly_metrics
    FOR EACH ROW WHEN (NEW.time IS NULL) EXECUTE FUNCTION rmetrics_fill_time('month');
CREATE OR REPLACE TRIGGER measure_daily_fill_time BEFORE INSERT ON measure_daily
    FOR EACH ROW WHEN (NEW.time IS NULL) EXECUTE FUNCTION rmetrics_fill_time('date');
CREATE OR REPLACE TRIGGER dimension_monthly_fill_time BEFORE INSERT ON dimension_monthly
    FOR EACH ROW WHEN (NEW.time IS NULL) EXECUTE FUNCTION rmetrics_fill_time('month');

-- ----------------------------------------------------------------------------------------------------------- sync_runs

CREATE TABLE IF NOT EXISTS sync_runs (
    run_id         varchar      NOT NULL,
    started_at     timestamptz  NOT NULL,
    finished_at    timestamptz,
    status         varchar      NOT NULL,
    rules_hash     varchar,
    version        varchar,
    files          integer,
    rows_read      bigint,
    rows_rejected  bigint,
    detail         jsonb,
    CONSTRAINT sync_runs_pkey           PRIMARY KEY (run_id),
    CONSTRAINT sync_runs_status_known   CHECK (status IN ('ok', 'failed', 'unchanged')),
    CONSTRAINT sync_runs_ok_is_finished CHECK (status <> 'ok' OR finished_at IS NOT NULL)
);

COMMENT ON TABLE  sync_runs               IS 'Runs of rmetrics sync that published or failed. The row of a successful '
                                             'run is written in the transaction that publishes its figures.';
COMMENT ON COLUMN sync_runs.run_id        IS 'Identifier of the run.';
COMMENT ON COLUMN sync_runs.started_at    IS 'Moment the run began.';
COMMENT ON COLUMN sync_runs.finished_at   IS 'Moment the run ended. NULL: the run was interrupted.';
COMMENT ON COLUMN sync_runs.status        IS 'ok: finished and published. failed: nothing was published. unchanged: '
                                             'there was nothing to publish; recorded only after a failed run, to show '
                                             'that the failure is resolved.';
COMMENT ON COLUMN sync_runs.rules_hash    IS 'Hash of the rules in force. NULL: the run failed before they were read.';
COMMENT ON COLUMN sync_runs.version       IS 'Version of rmetrics. NULL: not recorded.';
COMMENT ON COLUMN sync_runs.files         IS 'Number of export files the run examined. NULL: failed before it could '
                                             'count them.';
COMMENT ON COLUMN sync_runs.rows_read     IS 'Number of rows in those files. NULL: failed before it could count them.';
COMMENT ON COLUMN sync_runs.rows_rejected IS 'Number of rejected rows. NULL: failed before it could count them.';
COMMENT ON COLUMN sync_runs.detail        IS 'Other records of the run, such as the fingerprint of the lake. No '
                                             'customer data. NULL: no records.';

-- ------------------------------------------------------------------------------------------------------ metric_changes

CREATE TABLE IF NOT EXISTS metric_changes (
    change_id  bigint   NOT NULL GENERATED ALWAYS AS IDENTITY,
    run_id     varchar  NOT NULL,
    month      date     NOT NULL,
    date       date,
    source     varchar  NOT NULL,
    segment    varchar  NOT NULL,
    metric     varchar  NOT NULL,
    old_value  numeric,
    new_value  numeric,
    cause      text,
    CONSTRAINT metric_changes_pkey           PRIMARY KEY (change_id),
    CONSTRAINT metric_changes_run_id_fkey    FOREIGN KEY (run_id) REFERENCES sync_runs (run_id),
    CONSTRAINT metric_changes_month_is_first CHECK (extract(day FROM month) = 1),
    CONSTRAINT metric_changes_date_in_month  CHECK (date >= month AND date < month + interval '1 month')
);

-- How did the numbers of this month change?
CREATE INDEX IF NOT EXISTS metric_changes_month_idx ON metric_changes (month);
-- What did this run change?
CREATE INDEX IF NOT EXISTS metric_changes_run_id_idx ON metric_changes (run_id);

COMMENT ON TABLE  metric_changes           IS 'Changes of published figures by later runs: old value, new value and '
                                              'cause.';
COMMENT ON COLUMN metric_changes.change_id IS 'Sequential number.';
COMMENT ON COLUMN metric_changes.run_id    IS 'Run that changed the figure.';
COMMENT ON COLUMN metric_changes.month     IS 'Month of the figure, its first day.';
COMMENT ON COLUMN metric_changes.date      IS 'Business day of the figure. NULL: a figure of the whole month.';
COMMENT ON COLUMN metric_changes.source    IS 'Channel.';
COMMENT ON COLUMN metric_changes.segment   IS 'Segment.';
COMMENT ON COLUMN metric_changes.metric    IS 'Name of the measure: a column of daily_metrics and monthly_metrics.';
COMMENT ON COLUMN metric_changes.old_value IS 'Value before, in the unit of the measure. NULL: there was no such row.';
COMMENT ON COLUMN metric_changes.new_value IS 'Value after, in the unit of the measure. NULL: the row was removed.';
COMMENT ON COLUMN metric_changes.cause     IS 'Cause of the change, such as new exports or edited rules. NULL: not '
                                              'known.';

-- ------------------------------------------------------------------------------------------------------ member_changes

CREATE TABLE IF NOT EXISTS member_changes (
    change_id  bigint   NOT NULL GENERATED ALWAYS AS IDENTITY,
    run_id     varchar  NOT NULL,
    month      date     NOT NULL,
    dimension  varchar  NOT NULL,
    member     varchar,
    members    integer  NOT NULL,
    metric     varchar  NOT NULL,
    old_value  numeric,
    new_value  numeric,
    cause      text,
    CONSTRAINT member_changes_pkey           PRIMARY KEY (change_id),
    CONSTRAINT member_changes_run_id_fkey    FOREIGN KEY (run_id) REFERENCES sync_runs (run_id),
    CONSTRAINT member_changes_month_is_first CHECK (extract(day FROM month) = 1),
    CONSTRAINT member_changes_members_there  CHECK (members > 0 AND (member IS NULL OR members = 1))
);

-- How did the members' numbers of this month change?
CREATE INDEX IF NOT EXISTS member_changes_month_idx ON member_changes (month, dimension);
-- What did this run change?
CREATE INDEX IF NOT EXISTS member_changes_run_id_idx ON member_changes (run_id);

COMMENT ON TABLE  member_changes           IS 'Changes by later runs to published figures of members of a dimension. '
                                              'If many members change, only the largest changes have separate rows.';
COMMENT ON COLUMN member_changes.change_id IS 'Sequential number.';
COMMENT ON COLUMN member_changes.run_id    IS 'Run that changed the figure.';
COMMENT ON COLUMN member_changes.month     IS 'Month of the figure, its first day.';
COMMENT ON COLUMN member_changes.dimension IS 'Name of the dimension, as in the rules.';
COMMENT ON COLUMN member_changes.member    IS 'The member. NULL: several members with smaller changes together.';
COMMENT ON COLUMN member_changes.members   IS 'Number of members in the row.';
COMMENT ON COLUMN member_changes.metric    IS 'Name of the measure, as in dimension_monthly.';
COMMENT ON COLUMN member_changes.old_value IS 'Value before, in the unit of the measure. NULL: there was no such row.';
COMMENT ON COLUMN member_changes.new_value IS 'Value after, in the unit of the measure. NULL: the row was removed.';
COMMENT ON COLUMN member_changes.cause     IS 'Cause of the change, such as new exports or edited rules. NULL: not '
                                              'known.';

-- ----------------------------------------------------------------------------------------------------- published_parts

-- What does this table hold, month by month? The primary key.
CREATE TABLE IF NOT EXISTS published_parts (
    table_name  varchar  NOT NULL,
    part        date     NOT NULL,
    rows        bigint   NOT NULL,
    digest      text     NOT NULL,
    run_id      varchar  NOT NULL,
    CONSTRAINT published_parts_pkey              PRIMARY KEY (table_name, part),
    CONSTRAINT published_parts_part_is_first     CHECK (extract(day FROM part) = 1),
    CONSTRAINT published_parts_rows_not_negative CHECK (rows >= 0)
);

COMMENT ON TABLE  published_parts            IS 'Digest of each month of each published table, so that a run replaces '
                                                'only months that differ.';
COMMENT ON COLUMN published_parts.table_name IS 'Name of the table.';
COMMENT ON COLUMN published_parts.part       IS 'Month, its first day. 0001-01-01 stands for rows without a date.';
COMMENT ON COLUMN published_parts.rows       IS 'Number of rows of this table in this month.';
COMMENT ON COLUMN published_parts.digest     IS 'Hash of the contents of these rows.';
COMMENT ON COLUMN published_parts.run_id     IS 'Run that wrote them. No foreign key: old runs can be deleted without '
                                                'changing this table.';

-- --------------------------------------------------------------------------------------------------------- feed_status

CREATE TABLE IF NOT EXISTS feed_status (
    feed            varchar      NOT NULL,
    table_name      varchar,
    rows            bigint       NOT NULL,
    last_date       date,
    last_export_at  timestamptz,
    exports         integer      NOT NULL,
    CONSTRAINT feed_status_pkey                PRIMARY KEY (feed),
    CONSTRAINT feed_status_counts_not_negative CHECK (rows >= 0 AND exports >= 0)
);

COMMENT ON TABLE  feed_status                IS 'State of each feed at the last publish, one row per feed.';
COMMENT ON COLUMN feed_status.feed           IS 'Name of the feed in the rules.';
COMMENT ON COLUMN feed_status.table_name     IS 'Table with its rows. NULL: the feed is not published as a table.';
COMMENT ON COLUMN feed_status.rows           IS 'Number of accepted rows, one per key.';
COMMENT ON COLUMN feed_status.last_date      IS 'Greatest business day among its rows. NULL: no rows, or rows without '
                                                'dates.';
COMMENT ON COLUMN feed_status.last_export_at IS 'Moment the newest of its exports was made or saved. NULL: no export '
                                                'yet.';
COMMENT ON COLUMN feed_status.exports        IS 'Number of different exports in the lake.';

-- ----------------------------------------------------------------------------------------------------------- forecasts

-- Where does this month end? The primary key.
CREATE TABLE IF NOT EXISTS forecasts (
    date         date           NOT NULL,
    source       varchar        NOT NULL,
    measure      varchar        NOT NULL,
    time         timestamptz    NOT NULL,
    month        date           NOT NULL,
    as_of        date           NOT NULL,
    value        numeric(18,2)  NOT NULL,
    low          numeric(18,2),
    high         numeric(18,2),
    past_months  integer        NOT NULL,
    CONSTRAINT forecasts_pkey           PRIMARY KEY (date, source, measure),
    CONSTRAINT forecasts_month_is_first CHECK (extract(day FROM month) = 1),
    CONSTRAINT forecasts_in_order       CHECK (low <= value AND value <= high)
);

COMMENT ON TABLE  forecasts             IS 'Estimates, not figures: the expected end of the newest month of the data, '
                                           'day by day, for the company and each source. Written by every publish. No '
                                           'row: fewer than eight weeks of data.';
COMMENT ON COLUMN forecasts.date        IS 'Business day.';
COMMENT ON COLUMN forecasts.source      IS 'Channel, or ALL for the whole company. Estimates of sources do not add up '
                                           'to that of ALL.';
COMMENT ON COLUMN forecasts.measure     IS 'jobs, leads, units, repairs, revenue_gross or revenue40.';
COMMENT ON COLUMN forecasts.time        IS 'Noon of the business day in the time zone of the business.';
COMMENT ON COLUMN forecasts.month       IS 'Month, its first day.';
COMMENT ON COLUMN forecasts.as_of       IS 'Last full day of the data, the base of the estimate.';
COMMENT ON COLUMN forecasts.value       IS 'Estimate: the measure from the first of the month to the end of this day, '
                                           'in its unit. On as_of, the actual figure.';
COMMENT ON COLUMN forecasts.low         IS 'In four of five cases the month ends between low and high. NULL: not the '
                                           'last day of the month, or fewer than four past months for comparison.';
COMMENT ON COLUMN forecasts.high        IS 'In four of five cases the month ends between low and high. NULL: not the '
                                           'last day of the month, or fewer than four past months for comparison.';
COMMENT ON COLUMN forecasts.past_months IS 'Number of past months whose errors give low and high.';


-- =====================================================================================================================
-- 4. Views
-- =====================================================================================================================

-- --------------------------------------------------------------------------------------------------- monthly_vs_target

-- Scopes: the company (ALL, ALL), each source (source, ALL), each segment (ALL, segment) and each pair. Every scope is
-- added up from the plain rows of monthly_metrics and then meets the one target row of the same name.
CREATE OR REPLACE VIEW monthly_vs_target AS
WITH actual AS (
    SELECT month,
           CASE WHEN grouping(source)  = 1 THEN 'ALL' ELSE source  END AS source,
           CASE WHEN grouping(segment) = 1 THEN 'ALL' ELSE segment END AS segment,
           max(time)            AS time,
           sum(jobs)::bigint    AS jobs,
           sum(leads)::bigint   AS leads,
           sum(units)::bigint   AS units,
           sum(repairs)::bigint AS repairs,
           sum(revenue_gross)   AS revenue_gross,
           sum(revenue40)       AS revenue40,
           sum(cost)            AS cost
    FROM monthly_metrics
    GROUP BY GROUPING SETS ((month), (month, source), (month, segment), (month, source, segment))
),
covered AS (  -- between its first and its last month the data is there: a scope without a row did 0, elsewhere NULL
    SELECT min(month) AS first_month, max(month) AS last_month, 0::bigint AS nothing FROM monthly_metrics
),
scope AS (
    SELECT month, source, segment,
           coalesce(actual.time, (month + time '12:00') AT TIME ZONE business.timezone) AS time,
           coalesce(actual.jobs,          covered.nothing) AS jobs,
           coalesce(actual.leads,         covered.nothing) AS leads,
           coalesce(actual.units,         covered.nothing) AS units,
           coalesce(actual.repairs,       covered.nothing) AS repairs,
           coalesce(actual.revenue_gross, covered.nothing) AS revenue_gross,
           coalesce(actual.revenue40,     covered.nothing) AS revenue40,
           coalesce(actual.cost,          covered.nothing) AS cost,
           target_repairs, target_revenue40, target_conv_l2r, target_cpl_max
    FROM actual
    FULL JOIN targets USING (month, source, segment)
    LEFT JOIN covered ON month BETWEEN covered.first_month AND covered.last_month
    LEFT JOIN business ON true
)
SELECT month, time, source, segment,
       jobs, leads, units, repairs, revenue_gross, revenue40, cost,
       revenue40 - cost                          AS profit,
       cost / nullif(leads, 0)                   AS cpl,
       units::numeric / nullif(leads, 0)         AS conv_l2u,
       repairs::numeric / nullif(leads, 0)       AS conv_l2r,
       target_repairs, target_revenue40, target_conv_l2r, target_cpl_max,
       repairs / nullif(target_repairs, 0)       AS repairs_attained,
       revenue40 / nullif(target_revenue40, 0)   AS revenue40_attained,
       cost / nullif(leads, 0) > target_cpl_max  AS cpl_over
FROM scope;

COMMENT ON VIEW   monthly_vs_target                    IS 'Actual figures and targets, one row per month and scope. A '
                                                          'scope is a source or ALL, and a segment or ALL. Select one '
                                                          'scope and never add scopes up: ALL contains the others.';
COMMENT ON COLUMN monthly_vs_target.month              IS 'Month, its first day.';
COMMENT ON COLUMN monthly_vs_target.time               IS 'Noon of the first of the month in the time zone of the '
                                                          'business. NULL: no figures and no row in business, which '
                                                          'the first publish writes.';
COMMENT ON COLUMN monthly_vs_target.source             IS 'Channel, or ALL for the whole company.';
COMMENT ON COLUMN monthly_vs_target.segment            IS 'Segment, or ALL for all segments together.';
COMMENT ON COLUMN monthly_vs_target.jobs               IS 'Number of jobs. NULL: the month is outside the data.';
COMMENT ON COLUMN monthly_vs_target.leads              IS 'Number of leads. NULL: the month is outside the data.';
COMMENT ON COLUMN monthly_vs_target.units              IS 'Number of units. NULL: the month is outside the data.';
COMMENT ON COLUMN monthly_vs_target.repairs            IS 'Number of repairs. NULL: the month is outside the data.';
COMMENT ON COLUMN monthly_vs_target.revenue_gross      IS 'Sum of counted payments, money. NULL: the month is outside '
                                                          'the data.';
COMMENT ON COLUMN monthly_vs_target.revenue40          IS 'Revenue after the share, money. NULL: the month is outside '
                                                          'the data.';
COMMENT ON COLUMN monthly_vs_target.cost               IS 'Cost of the leads, money. NULL: the month is outside the '
                                                          'data.';
COMMENT ON COLUMN monthly_vs_target.profit             IS 'revenue40 - cost, money. NULL: the month is outside the '
                                                          'data.';
COMMENT ON COLUMN monthly_vs_target.cpl                IS 'Cost per lead, money. NULL: no leads.';
COMMENT ON COLUMN monthly_vs_target.conv_l2u           IS 'units / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN monthly_vs_target.conv_l2r           IS 'repairs / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN monthly_vs_target.target_repairs     IS 'Repairs to reach in the month. NULL: no target.';
COMMENT ON COLUMN monthly_vs_target.target_revenue40   IS 'revenue40 to reach in the month, money. NULL: no target.';
COMMENT ON COLUMN monthly_vs_target.target_conv_l2r    IS 'repairs / leads to reach, a ratio. NULL: no target.';
COMMENT ON COLUMN monthly_vs_target.target_cpl_max     IS 'Highest allowed cost of a lead, money. NULL: no limit.';
COMMENT ON COLUMN monthly_vs_target.repairs_attained   IS 'repairs / target, 1 means reached. NULL: no target, a '
                                                          'target of 0, or no data.';
COMMENT ON COLUMN monthly_vs_target.revenue40_attained IS 'revenue40 / target, 1 means reached. NULL: no target, a '
                                                          'target of 0, or no data.';
COMMENT ON COLUMN monthly_vs_target.cpl_over           IS 'True: the cost per lead exceeds the limit. NULL: no limit '
                                                          'or no leads.';

-- ----------------------------------------------------------------------------------------------------- measure_monthly

-- Every measure by one name and one shape. Ratios are made of the sums of the same month, source and segment. For other
-- scopes add up value_above and value_below, then divide.
CREATE OR REPLACE VIEW measure_monthly AS
WITH sums AS (
    SELECT m.month, m.source, m.segment, v.measure, v.value
    FROM monthly_metrics AS m
    CROSS JOIN LATERAL (VALUES
        ('jobs', m.jobs::numeric), ('leads', m.leads), ('units', m.units), ('repairs', m.repairs),
        ('revenue_gross', m.revenue_gross), ('revenue40', m.revenue40), ('cost', m.cost)
    ) AS v (measure, value)
    WHERE v.value <> 0
    UNION ALL
    SELECT date_trunc('month', d.date)::date, d.source, d.segment, d.measure, sum(d.value)
    FROM measure_daily AS d
    GROUP BY 1, 2, 3, 4
), named AS (
    SELECT s.month, s.source, s.segment, c.measure, s.value, NULL::numeric AS above, NULL::numeric AS below
    FROM sums AS s JOIN measures AS c ON c.measure = s.measure
    UNION ALL
    SELECT s.month, s.source, s.segment, c.measure, NULL,
           coalesce(sum(s.value) FILTER (WHERE s.measure = c.numerator), 0),
           coalesce(sum(s.value) FILTER (WHERE s.measure = c.denominator), 0)
    FROM sums AS s JOIN measures AS c ON s.measure IN (c.numerator, c.denominator)
    GROUP BY s.month, s.source, s.segment, c.measure
)
SELECT n.month,
       (n.month + time '12:00') AT TIME ZONE coalesce((SELECT b.timezone FROM business AS b), 'UTC') AS time,
       n.source,
       n.segment,
       n.measure,
       c.title,
       c.format,
       coalesce(n.value, n.above / nullif(n.below, 0)) AS value,
       n.above AS value_above,
       n.below AS value_below
FROM named AS n JOIN measures AS c ON c.measure = n.measure;

COMMENT ON VIEW   measure_monthly             IS 'Every measure, standard and of the company, including ratios: one '
                                                 'row per month, source, segment and measure.';
COMMENT ON COLUMN measure_monthly.month       IS 'Month, its first day.';
COMMENT ON COLUMN measure_monthly.time        IS 'Noon of the first of the month in the time zone of the business. '
                                                 'Chart and filter on this one.';
COMMENT ON COLUMN measure_monthly.source      IS 'Channel, Unattributed if unknown. Never ALL.';
COMMENT ON COLUMN measure_monthly.segment     IS 'COD, INS or OTHER, as named in the rules. Never ALL.';
COMMENT ON COLUMN measure_monthly.measure     IS 'Name of the measure, see measures.';
COMMENT ON COLUMN measure_monthly.title       IS 'Display name.';
COMMENT ON COLUMN measure_monthly.format      IS 'Format: count, money, percent (0.25 means 25 %) or number.';
COMMENT ON COLUMN measure_monthly.value       IS 'The sum, or the ratio of two sums. NULL: a ratio with a denominator '
                                                 'of 0.';
COMMENT ON COLUMN measure_monthly.value_above IS 'Numerator of a ratio. NULL: not a ratio.';
COMMENT ON COLUMN measure_monthly.value_below IS 'Denominator of a ratio. NULL: not a ratio.';

-- ---------------------------------------------------------------------------------------------------- measure_vs_target

-- Scopes as in monthly_vs_target: the company (ALL, ALL), each source (source, ALL), each segment and each pair, added up
-- from the plain rows. A target is the column of targets named target_ and the measure, declared in the targets' feed.
CREATE OR REPLACE VIEW measure_vs_target AS
SELECT s.month,
       (s.month + time '12:00') AT TIME ZONE coalesce((SELECT b.timezone FROM business AS b), 'UTC') AS time,
       s.source,
       s.segment,
       s.measure,
       s.title,
       s.format,
       s.value,
       t.target,
       s.value / nullif(t.target, 0) AS attained
FROM (
    SELECT m.month,
           CASE WHEN grouping(m.source) = 1 THEN 'ALL' ELSE m.source END AS source,
           CASE WHEN grouping(m.segment) = 1 THEN 'ALL' ELSE m.segment END AS segment,
           m.measure, m.title, m.format,
           coalesce(sum(m.value) FILTER (WHERE m.value_above IS NULL),
                    sum(m.value_above) / nullif(sum(m.value_below), 0)) AS value
    FROM measure_monthly AS m
    GROUP BY m.month, m.measure, m.title, m.format, GROUPING SETS ((), (m.source), (m.segment), (m.source, m.segment))
) AS s
LEFT JOIN LATERAL (
    SELECT (to_jsonb(g) ->> ('target_' || s.measure))::numeric AS target FROM targets AS g
    WHERE g.month = s.month AND g.source = s.source AND g.segment = s.segment
) AS t ON true;

COMMENT ON VIEW   measure_vs_target          IS 'Measures and their targets, one row per month, scope and measure.';
COMMENT ON COLUMN measure_vs_target.month    IS 'Month, its first day.';
COMMENT ON COLUMN measure_vs_target.time     IS 'Noon of the first of the month in the time zone of the business. Chart and '
                                                'filter on this one.';
COMMENT ON COLUMN measure_vs_target.source   IS 'Channel, or ALL for the whole company.';
COMMENT ON COLUMN measure_vs_target.segment  IS 'Segment, or ALL for all segments together.';
COMMENT ON COLUMN measure_vs_target.measure  IS 'Name of the measure, see measures.';
COMMENT ON COLUMN measure_vs_target.title    IS 'Display name.';
COMMENT ON COLUMN measure_vs_target.format   IS 'Format: count, money, percent (0.25 means 25 %) or number.';
COMMENT ON COLUMN measure_vs_target.value    IS 'The sum, or the ratio of two sums. NULL: a ratio with a denominator '
                                                'of 0.';
COMMENT ON COLUMN measure_vs_target.target   IS 'Target: the column of targets named target_ plus the name of the '
                                                'measure. NULL: no target.';
COMMENT ON COLUMN measure_vs_target.attained IS 'value / target, 1 means reached. NULL: no target.';

-- ---------------------------------------------------------------------------------------------------- daily_cumulative

-- Every calendar day of every month that has data or a target, for the company (source ALL) and each of its sources.
-- All segments together: a pace by segment is rarely set and would multiply the rows by four.
CREATE OR REPLACE VIEW daily_cumulative AS
WITH actual AS (
    SELECT date,
           CASE WHEN grouping(source) = 1 THEN 'ALL' ELSE source END AS source,
           sum(leads)     AS leads,
           sum(units)     AS units,
           sum(repairs)   AS repairs,
           sum(revenue40) AS revenue40,
           sum(cost)      AS cost
    FROM daily_metrics
    GROUP BY GROUPING SETS ((date), (date, source))
),
covered AS (  -- the data reaches from the first of its first month to its last day: inside, no row means 0
    SELECT date_trunc('month', min(date)::timestamp)::date AS first_date, max(date) AS last_date FROM daily_metrics
),
scope AS (    -- UNION keeps each month and source once
    SELECT date_trunc('month', date::timestamp)::date AS month, source FROM actual
    UNION
    SELECT month, source FROM targets
    UNION
    SELECT month, 'ALL' FROM targets
),
calendar AS (
    SELECT month, source, days_in_month, day_number, month + day_number - 1 AS date
    FROM scope
    CROSS JOIN LATERAL (SELECT (month + interval '1 month')::date - month AS days_in_month) AS length
    CROSS JOIN LATERAL generate_series(1, days_in_month) AS day_number
),
running AS (
    SELECT month, date, source, days_in_month, day_number,
           coalesce(repairs, 0)                    AS repairs,
           coalesce(sum(leads)     OVER so_far, 0) AS leads_to_date,
           coalesce(sum(units)     OVER so_far, 0) AS units_to_date,
           coalesce(sum(repairs)   OVER so_far, 0) AS repairs_to_date,
           coalesce(sum(revenue40) OVER so_far, 0) AS revenue40_to_date,
           coalesce(sum(cost)      OVER so_far, 0) AS cost_to_date
    FROM calendar
    LEFT JOIN actual USING (date, source)
    WINDOW so_far AS (PARTITION BY month, source ORDER BY date)
)
SELECT month, date,
       (date + time '12:00') AT TIME ZONE business.timezone   AS time,
       source,
       'ALL'::varchar                                         AS segment,
       CASE WHEN in_data THEN running.repairs::bigint END     AS repairs,
       CASE WHEN in_data THEN leads_to_date::bigint END       AS leads_to_date,
       CASE WHEN in_data THEN units_to_date::bigint END       AS units_to_date,
       CASE WHEN in_data THEN repairs_to_date::bigint END     AS repairs_to_date,
       CASE WHEN in_data THEN revenue40_to_date END           AS revenue40_to_date,
       CASE WHEN in_data THEN cost_to_date END                AS cost_to_date,
       target_repairs,
       target_revenue40,
       target_repairs * day_number / days_in_month            AS repairs_pace,
       target_revenue40 * day_number / days_in_month          AS revenue40_pace,
       repairs_forecast,
       revenue40_forecast
FROM running
CROSS JOIN covered
CROSS JOIN LATERAL (SELECT date BETWEEN first_date AND last_date AS in_data) AS inside
LEFT JOIN (SELECT * FROM targets WHERE segment = 'ALL') AS target USING (month, source)
LEFT JOIN (SELECT date, source, value AS repairs_forecast FROM forecasts WHERE measure = 'repairs') AS repairs_ahead
    USING (date, source)
LEFT JOIN (SELECT date, source, value AS revenue40_forecast FROM forecasts WHERE measure = 'revenue40') AS revenue_ahead
    USING (date, source)
LEFT JOIN business ON true;

COMMENT ON VIEW   daily_cumulative                   IS 'Month to date and the pace of the target: every calendar day '
                                                        'of each month with data or a target, per scope. A scope is a '
                                                        'source or ALL, with all segments together. Select one scope '
                                                        'and never add scopes up.';
COMMENT ON COLUMN daily_cumulative.month             IS 'Month, its first day.';
COMMENT ON COLUMN daily_cumulative.date              IS 'Business day.';
COMMENT ON COLUMN daily_cumulative.time              IS 'Noon of the business day in the time zone of the business. '
                                                        'NULL: no row in business, which the first publish writes.';
COMMENT ON COLUMN daily_cumulative.source            IS 'Channel, or ALL for the whole company.';
COMMENT ON COLUMN daily_cumulative.segment           IS 'Always ALL.';
COMMENT ON COLUMN daily_cumulative.repairs           IS 'Number of repairs of this day. NULL: the day is outside the '
                                                        'data.';
COMMENT ON COLUMN daily_cumulative.leads_to_date     IS 'Number of leads since the first of the month. NULL: the day '
                                                        'is outside the data.';
COMMENT ON COLUMN daily_cumulative.units_to_date     IS 'Number of units since the first of the month. NULL: the day '
                                                        'is outside the data.';
COMMENT ON COLUMN daily_cumulative.repairs_to_date   IS 'Number of repairs since the first of the month. NULL: the '
                                                        'day is outside the data.';
COMMENT ON COLUMN daily_cumulative.revenue40_to_date IS 'revenue40 since the first of the month, money. NULL: the day '
                                                        'is outside the data.';
COMMENT ON COLUMN daily_cumulative.cost_to_date      IS 'Cost since the first of the month, money. NULL: the day is '
                                                        'outside the data.';
COMMENT ON COLUMN daily_cumulative.target_repairs    IS 'Repairs to reach in the whole month. NULL: no target.';
COMMENT ON COLUMN daily_cumulative.target_revenue40  IS 'revenue40 to reach in the whole month, money. NULL: no '
                                                        'target.';
COMMENT ON COLUMN daily_cumulative.repairs_pace      IS 'Repairs to have by the end of this day: target * day / days '
                                                        'of the month. NULL: no target.';
COMMENT ON COLUMN daily_cumulative.revenue40_pace    IS 'revenue40 to have by the end of this day: target * day / '
                                                        'days of the month, money. NULL: no target.';
COMMENT ON COLUMN daily_cumulative.repairs_forecast   IS 'Estimate, not a figure: repairs since the first of the '
                                                         'month at the end of this day. NULL: before the last full '
                                                         'day, another month, or fewer than eight weeks of data.';
COMMENT ON COLUMN daily_cumulative.revenue40_forecast IS 'Estimate, not a figure: revenue40 since the first of the '
                                                         'month at the end of this day, money. NULL: before the last '
                                                         'full day, another month, or fewer than eight weeks of data.';

-- ------------------------------------------------------------------------------------------------------ month_forecast

CREATE OR REPLACE VIEW month_forecast AS
WITH ends AS (
    SELECT f.month, f.source, f.measure, f.as_of, f.value, f.low, f.high, f.past_months
    FROM forecasts AS f
    WHERE f.date = (f.month + interval '1 month')::date - 1
),
actual AS (
    SELECT CASE WHEN grouping(source) = 1 THEN 'ALL' ELSE source END AS source,
           sum(jobs)::numeric AS jobs, sum(leads)::numeric AS leads, sum(units)::numeric AS units,
           sum(repairs)::numeric AS repairs, sum(revenue_gross) AS revenue_gross, sum(revenue40) AS revenue40
    FROM monthly_metrics
    WHERE month = (SELECT max(month) FROM ends)
    GROUP BY GROUPING SETS ((), (source))
)
SELECT ends.month,
       (ends.month + time '12:00') AT TIME ZONE business.timezone AS time,
       ends.source, ends.measure, ends.as_of,
       coalesce(CASE ends.measure WHEN 'jobs' THEN actual.jobs WHEN 'leads' THEN actual.leads
                                  WHEN 'units' THEN actual.units WHEN 'repairs' THEN actual.repairs
                                  WHEN 'revenue_gross' THEN actual.revenue_gross
                                  WHEN 'revenue40' THEN actual.revenue40 END, 0) AS reached,
       ends.value AS estimate, ends.low, ends.high, ends.past_months,
       CASE ends.measure WHEN 'repairs' THEN target_repairs WHEN 'revenue40' THEN target_revenue40 END AS target,
       ends.value / nullif(CASE ends.measure WHEN 'repairs' THEN target_repairs
                                             WHEN 'revenue40' THEN target_revenue40 END, 0) AS estimate_of_target
FROM ends
LEFT JOIN actual USING (source)
LEFT JOIN targets ON targets.month = ends.month AND targets.source = ends.source AND targets.segment = 'ALL'
LEFT JOIN business ON true;

COMMENT ON VIEW   month_forecast                    IS 'Expected end of the current month: one row per source, or '
                                                       'ALL, and measure. An estimate, not a figure. No row: fewer '
                                                       'than eight weeks of data.';
COMMENT ON COLUMN month_forecast.month              IS 'Month, its first day.';
COMMENT ON COLUMN month_forecast.time               IS 'Noon of the first of the month in the time zone of the '
                                                       'business. NULL: no row in business, which the first publish '
                                                       'writes.';
COMMENT ON COLUMN month_forecast.source             IS 'Channel, or ALL for the whole company. Estimates of sources '
                                                       'do not add up to that of ALL.';
COMMENT ON COLUMN month_forecast.measure            IS 'jobs, leads, units, repairs, revenue_gross or revenue40.';
COMMENT ON COLUMN month_forecast.as_of              IS 'Last full day of the data, the base of the estimate.';
COMMENT ON COLUMN month_forecast.reached            IS 'The measure so far, in its unit: the figure of the month as '
                                                       'published.';
COMMENT ON COLUMN month_forecast.estimate           IS 'Estimate of the measure in the whole month, in its unit.';
COMMENT ON COLUMN month_forecast.low                IS 'In four of five cases the month ends between low and high. '
                                                       'NULL: fewer than four past months for comparison.';
COMMENT ON COLUMN month_forecast.high               IS 'In four of five cases the month ends between low and high. '
                                                       'NULL: fewer than four past months for comparison.';
COMMENT ON COLUMN month_forecast.past_months        IS 'Number of past months whose errors give low and high.';
COMMENT ON COLUMN month_forecast.target             IS 'Target of the month, in the unit of the measure. NULL: no '
                                                       'target.';
COMMENT ON COLUMN month_forecast.estimate_of_target IS 'estimate / target, 1 means reached. NULL: no target, or a '
                                                       'target of 0.';

-- ------------------------------------------------------------------------------------------------------ weekly_metrics

CREATE OR REPLACE VIEW weekly_metrics AS
WITH covered AS (
    SELECT date_trunc('month', min(date)::timestamp)::date AS first_date, max(date) AS last_date FROM daily_metrics
)
SELECT week,
       (week + time '12:00') AT TIME ZONE business.timezone AS time,
       source, segment,
       sum(jobs)::bigint                            AS jobs,
       sum(leads)::bigint                           AS leads,
       sum(units)::bigint                           AS units,
       sum(repairs)::bigint                         AS repairs,
       sum(revenue_gross)                           AS revenue_gross,
       sum(revenue40)                               AS revenue40,
       sum(cost)                                    AS cost,
       sum(units) / nullif(sum(leads), 0)           AS conv_l2u,
       sum(repairs) / nullif(sum(leads), 0)         AS conv_l2r,
       sum(repairs) / nullif(sum(units), 0)         AS conv_u2r,
       sum(cost) / nullif(sum(leads), 0)            AS cpl,
       sum(cost) / nullif(sum(repairs), 0)          AS cost_per_repair,
       sum(revenue_gross) / nullif(sum(repairs), 0) AS avg_ticket,
       sum(revenue40) - sum(cost)                   AS profit,
       week >= first_date AND (week + interval '7 days')::date - 1 <= last_date AS whole
FROM (SELECT date_trunc('week', date::timestamp)::date AS week, source, segment,
             jobs, leads, units, repairs, revenue_gross, revenue40, cost
      FROM daily_metrics) AS dated
CROSS JOIN covered
LEFT JOIN business ON true
GROUP BY week, source, segment, first_date, last_date, business.timezone;

COMMENT ON VIEW   weekly_metrics                 IS 'All metrics by week, source and segment, added up from '
                                                    'daily_metrics. Add up the measures, then divide: the ratios '
                                                    'apply to one row and must not be averaged or summed.';
COMMENT ON COLUMN weekly_metrics.week            IS 'Monday of the week (ISO 8601).';
COMMENT ON COLUMN weekly_metrics.time            IS 'Noon of the first day of the week in the time zone of the '
                                                    'business. NULL: no row in business, which the first publish '
                                                    'writes.';
COMMENT ON COLUMN weekly_metrics.source          IS 'Channel, Unattributed if unknown.';
COMMENT ON COLUMN weekly_metrics.segment         IS 'COD, INS or OTHER, as named in the rules.';
COMMENT ON COLUMN weekly_metrics.jobs            IS 'Number of jobs.';
COMMENT ON COLUMN weekly_metrics.leads           IS 'Number of leads.';
COMMENT ON COLUMN weekly_metrics.units           IS 'Number of units.';
COMMENT ON COLUMN weekly_metrics.repairs         IS 'Number of repairs.';
COMMENT ON COLUMN weekly_metrics.revenue_gross   IS 'Sum of counted payments, money.';
COMMENT ON COLUMN weekly_metrics.revenue40       IS 'Revenue after the share, money.';
COMMENT ON COLUMN weekly_metrics.cost            IS 'Cost of the leads, money.';
COMMENT ON COLUMN weekly_metrics.conv_l2u        IS 'units / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN weekly_metrics.conv_l2r        IS 'repairs / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN weekly_metrics.conv_u2r        IS 'repairs / units, a ratio. NULL: no units.';
COMMENT ON COLUMN weekly_metrics.cpl             IS 'Cost per lead, cost / leads, money. NULL: no leads.';
COMMENT ON COLUMN weekly_metrics.cost_per_repair IS 'cost / repairs, money. NULL: no repairs.';
COMMENT ON COLUMN weekly_metrics.avg_ticket      IS 'Average ticket, revenue_gross / repairs, money. NULL: no repairs.';
COMMENT ON COLUMN weekly_metrics.profit          IS 'Profit: revenue40 - cost, money.';
COMMENT ON COLUMN weekly_metrics.whole           IS 'False: the week is not over, or the data begin within it. '
                                                    'Compare it with the same number of days of another period.';

-- --------------------------------------------------------------------------------------------------- quarterly_metrics

CREATE OR REPLACE VIEW quarterly_metrics AS
WITH covered AS (
    SELECT date_trunc('month', min(date)::timestamp)::date AS first_date, max(date) AS last_date FROM daily_metrics
)
SELECT quarter,
       (quarter + time '12:00') AT TIME ZONE business.timezone AS time,
       source, segment,
       sum(jobs)::bigint                            AS jobs,
       sum(leads)::bigint                           AS leads,
       sum(units)::bigint                           AS units,
       sum(repairs)::bigint                         AS repairs,
       sum(revenue_gross)                           AS revenue_gross,
       sum(revenue40)                               AS revenue40,
       sum(cost)                                    AS cost,
       sum(units) / nullif(sum(leads), 0)           AS conv_l2u,
       sum(repairs) / nullif(sum(leads), 0)         AS conv_l2r,
       sum(repairs) / nullif(sum(units), 0)         AS conv_u2r,
       sum(cost) / nullif(sum(leads), 0)            AS cpl,
       sum(cost) / nullif(sum(repairs), 0)          AS cost_per_repair,
       sum(revenue_gross) / nullif(sum(repairs), 0) AS avg_ticket,
       sum(revenue40) - sum(cost)                   AS profit,
       quarter >= first_date AND (quarter + interval '3 months')::date - 1 <= last_date AS whole
FROM (SELECT date_trunc('quarter', month::timestamp)::date AS quarter, source, segment,
             jobs, leads, units, repairs, revenue_gross, revenue40, cost
      FROM monthly_metrics) AS dated
CROSS JOIN covered
LEFT JOIN business ON true
GROUP BY quarter, source, segment, first_date, last_date, business.timezone;

COMMENT ON VIEW   quarterly_metrics                 IS 'All metrics by quarter, source and segment, added up from '
                                                       'monthly_metrics. Add up the measures, then divide: the ratios '
                                                       'apply to one row and must not be averaged or summed.';
COMMENT ON COLUMN quarterly_metrics.quarter         IS 'First day of the quarter.';
COMMENT ON COLUMN quarterly_metrics.time            IS 'Noon of the first day of the quarter in the time zone of the '
                                                       'business. NULL: no row in business, which the first publish '
                                                       'writes.';
COMMENT ON COLUMN quarterly_metrics.source          IS 'Channel, Unattributed if unknown.';
COMMENT ON COLUMN quarterly_metrics.segment         IS 'COD, INS or OTHER, as named in the rules.';
COMMENT ON COLUMN quarterly_metrics.jobs            IS 'Number of jobs.';
COMMENT ON COLUMN quarterly_metrics.leads           IS 'Number of leads.';
COMMENT ON COLUMN quarterly_metrics.units           IS 'Number of units.';
COMMENT ON COLUMN quarterly_metrics.repairs         IS 'Number of repairs.';
COMMENT ON COLUMN quarterly_metrics.revenue_gross   IS 'Sum of counted payments, money.';
COMMENT ON COLUMN quarterly_metrics.revenue40       IS 'Revenue after the share, money.';
COMMENT ON COLUMN quarterly_metrics.cost            IS 'Cost of the leads, money.';
COMMENT ON COLUMN quarterly_metrics.conv_l2u        IS 'units / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN quarterly_metrics.conv_l2r        IS 'repairs / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN quarterly_metrics.conv_u2r        IS 'repairs / units, a ratio. NULL: no units.';
COMMENT ON COLUMN quarterly_metrics.cpl             IS 'Cost per lead, cost / leads, money. NULL: no leads.';
COMMENT ON COLUMN quarterly_metrics.cost_per_repair IS 'cost / repairs, money. NULL: no repairs.';
COMMENT ON COLUMN quarterly_metrics.avg_ticket      IS 'Average ticket, revenue_gross / repairs, money. NULL: no '
                                                       'repairs.';
COMMENT ON COLUMN quarterly_metrics.profit          IS 'Profit: revenue40 - cost, money.';
COMMENT ON COLUMN quarterly_metrics.whole           IS 'False: the quarter is not over, or the data begin within it. '
                                                       'Compare it with the same number of days of another period.';

-- ------------------------------------------------------------------------------------------------------ yearly_metrics

CREATE OR REPLACE VIEW yearly_metrics AS
WITH covered AS (
    SELECT date_trunc('month', min(date)::timestamp)::date AS first_date, max(date) AS last_date FROM daily_metrics
)
SELECT year,
       (year + time '12:00') AT TIME ZONE business.timezone AS time,
       source, segment,
       sum(jobs)::bigint                            AS jobs,
       sum(leads)::bigint                           AS leads,
       sum(units)::bigint                           AS units,
       sum(repairs)::bigint                         AS repairs,
       sum(revenue_gross)                           AS revenue_gross,
       sum(revenue40)                               AS revenue40,
       sum(cost)                                    AS cost,
       sum(units) / nullif(sum(leads), 0)           AS conv_l2u,
       sum(repairs) / nullif(sum(leads), 0)         AS conv_l2r,
       sum(repairs) / nullif(sum(units), 0)         AS conv_u2r,
       sum(cost) / nullif(sum(leads), 0)            AS cpl,
       sum(cost) / nullif(sum(repairs), 0)          AS cost_per_repair,
       sum(revenue_gross) / nullif(sum(repairs), 0) AS avg_ticket,
       sum(revenue40) - sum(cost)                   AS profit,
       year >= first_date AND (year + interval '1 year')::date - 1 <= last_date AS whole
FROM (SELECT date_trunc('year', month::timestamp)::date AS year, source, segment,
             jobs, leads, units, repairs, revenue_gross, revenue40, cost
      FROM monthly_metrics) AS dated
CROSS JOIN covered
LEFT JOIN business ON true
GROUP BY year, source, segment, first_date, last_date, business.timezone;

COMMENT ON VIEW   yearly_metrics                 IS 'All metrics by year, source and segment, added up from '
                                                    'monthly_metrics. Add up the measures, then divide: the ratios '
                                                    'apply to one row and must not be averaged or summed.';
COMMENT ON COLUMN yearly_metrics.year            IS 'First day of the year.';
COMMENT ON COLUMN yearly_metrics.time            IS 'Noon of the first day of the year in the time zone of the '
                                                    'business. NULL: no row in business, which the first publish '
                                                    'writes.';
COMMENT ON COLUMN yearly_metrics.source          IS 'Channel, Unattributed if unknown.';
COMMENT ON COLUMN yearly_metrics.segment         IS 'COD, INS or OTHER, as named in the rules.';
COMMENT ON COLUMN yearly_metrics.jobs            IS 'Number of jobs.';
COMMENT ON COLUMN yearly_metrics.leads           IS 'Number of leads.';
COMMENT ON COLUMN yearly_metrics.units           IS 'Number of units.';
COMMENT ON COLUMN yearly_metrics.repairs         IS 'Number of repairs.';
COMMENT ON COLUMN yearly_metrics.revenue_gross   IS 'Sum of counted payments, money.';
COMMENT ON COLUMN yearly_metrics.revenue40       IS 'Revenue after the share, money.';
COMMENT ON COLUMN yearly_metrics.cost            IS 'Cost of the leads, money.';
COMMENT ON COLUMN yearly_metrics.conv_l2u        IS 'units / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN yearly_metrics.conv_l2r        IS 'repairs / leads, a ratio. NULL: no leads.';
COMMENT ON COLUMN yearly_metrics.conv_u2r        IS 'repairs / units, a ratio. NULL: no units.';
COMMENT ON COLUMN yearly_metrics.cpl             IS 'Cost per lead, cost / leads, money. NULL: no leads.';
COMMENT ON COLUMN yearly_metrics.cost_per_repair IS 'cost / repairs, money. NULL: no repairs.';
COMMENT ON COLUMN yearly_metrics.avg_ticket      IS 'Average ticket, revenue_gross / repairs, money. NULL: no repairs.';
COMMENT ON COLUMN yearly_metrics.profit          IS 'Profit: revenue40 - cost, money.';
COMMENT ON COLUMN yearly_metrics.whole           IS 'False: the year is not over, or the data begin within it. '
                                                    'Compare it with the same number of days of another period.';

-- --------------------------------------------------------------------------------------------------------- call_funnel

-- Steps: calls, inbound, answered, with a job, then the jobs behind them. Several calls can lead to one job: calls are
-- counted as calls, jobs as jobs. A job called about in two months, or through two sources, counts in both.
CREATE OR REPLACE VIEW call_funnel AS
WITH call AS (
    SELECT date_trunc('month', call_date::timestamp)::date AS month,
           coalesce(calls.source, 'Unattributed')          AS source,
           direction = 'inbound'                           AS inbound,
           answered, duration_s, job_id, is_unit, is_repair
    FROM calls
    LEFT JOIN jobs USING (job_id)
),
monthly AS (
    SELECT month, source,
           count(*)                                        AS calls,
           count(*) FILTER (WHERE inbound)                 AS inbound,
           count(*) FILTER (WHERE inbound AND answered)    AS answered,
           count(*) FILTER (WHERE inbound AND NOT answered) AS missed,
           count(job_id)                                   AS with_job,
           count(DISTINCT job_id)                          AS jobs,
           count(DISTINCT job_id) FILTER (WHERE is_unit)   AS units,
           count(DISTINCT job_id) FILTER (WHERE is_repair) AS repairs,
           avg(duration_s) FILTER (WHERE inbound AND answered) AS avg_answered_s
    FROM call
    GROUP BY month, source
)
SELECT month, (month + time '12:00') AT TIME ZONE business.timezone AS time, source,
       calls, inbound, answered, missed, with_job, jobs, units, repairs, avg_answered_s
FROM monthly
LEFT JOIN business ON true;

COMMENT ON VIEW   call_funnel                IS 'From call to repair, one row per month of the call and source.';
COMMENT ON COLUMN call_funnel.month          IS 'Month of the calls, its first day. NULL: calls without a date.';
COMMENT ON COLUMN call_funnel.time           IS 'Noon of the first of the month in the time zone of the business. '
                                                'NULL: calls without a date, or no row in business, which the first '
                                                'publish writes.';
COMMENT ON COLUMN call_funnel.source         IS 'Channel of the call, Unattributed if no rule matched.';
COMMENT ON COLUMN call_funnel.calls          IS 'Number of calls in any direction.';
COMMENT ON COLUMN call_funnel.inbound        IS 'Number of inbound calls.';
COMMENT ON COLUMN call_funnel.answered       IS 'Number of answered inbound calls.';
COMMENT ON COLUMN call_funnel.missed         IS 'Number of missed inbound calls. answered + missed is less than '
                                                'inbound if the export lacks this for some calls.';
COMMENT ON COLUMN call_funnel.with_job       IS 'Number of calls, in any direction, that belong to a known job.';
COMMENT ON COLUMN call_funnel.jobs           IS 'Number of different jobs behind these calls.';
COMMENT ON COLUMN call_funnel.units          IS 'Number of those jobs that are units.';
COMMENT ON COLUMN call_funnel.repairs        IS 'Number of those jobs that are repairs.';
COMMENT ON COLUMN call_funnel.avg_answered_s IS 'Average length of answered inbound calls in seconds. NULL: none, or '
                                                'no lengths exported.';

-- -------------------------------------------------------------------------------------------------------- call_classes

-- Each inbound call that counts is in exactly one class, so the classes of a month and source add up to its calls.
CREATE OR REPLACE VIEW call_classes AS
WITH monthly AS (
    SELECT date_trunc('month', call_date::timestamp)::date AS month,
           coalesce(source, 'Unattributed')                AS source,
           class, count(*)                                 AS calls
    FROM calls
    WHERE class IS NOT NULL
    GROUP BY 1, 2, 3
)
SELECT month, (month + time '12:00') AT TIME ZONE business.timezone AS time, source, class, calls
FROM monthly
LEFT JOIN business ON true;

COMMENT ON VIEW   call_classes        IS 'Outcomes of inbound calls, one row per month of the call, source and class.';
COMMENT ON COLUMN call_classes.month  IS 'Month of the calls, its first day. NULL: calls without a date.';
COMMENT ON COLUMN call_classes.time   IS 'Noon of the first of the month in the time zone of the business. NULL: calls '
                                         'without a date, or no row in business, which the first publish writes.';
COMMENT ON COLUMN call_classes.source IS 'Channel of the call, Unattributed if no rule matched.';
COMMENT ON COLUMN call_classes.class  IS 'Outcome of the calls: answered, missed and called back, missed but booked '
                                         'anyway, missed and lost, existing job, not a customer, own number.';
COMMENT ON COLUMN call_classes.calls  IS 'Number of inbound calls.';

-- ------------------------------------------------------------------------------------------------------- speed_to_lead

-- Calls that may be leads: without calls about existing jobs, from the company itself and from non-customers.
CREATE OR REPLACE VIEW speed_to_lead AS
WITH monthly AS (
    SELECT date_trunc('month', call_date::timestamp)::date                    AS month,
           coalesce(source, 'Unattributed')                                   AS source,
           count(*)                                                           AS calls,
           count(answered_within_s)                                           AS reached,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY answered_within_s)     AS median_s,
           percentile_disc(0.9) WITHIN GROUP (ORDER BY answered_within_s)     AS p90_s
    FROM calls
    WHERE class IN ('answered', 'missed and called back', 'missed but booked anyway', 'missed and lost')
    GROUP BY 1, 2
)
SELECT month, (month + time '12:00') AT TIME ZONE business.timezone AS time, source, calls, reached, median_s, p90_s
FROM monthly
LEFT JOIN business ON true;

COMMENT ON VIEW   speed_to_lead          IS 'Time until callers were reached, one row per month of the call and '
                                            'source.';
COMMENT ON COLUMN speed_to_lead.month    IS 'Month of the calls, its first day. NULL: calls without a date.';
COMMENT ON COLUMN speed_to_lead.time     IS 'Noon of the first of the month in the time zone of the business. NULL: calls '
                                            'without a date, or no row in business, which the first publish writes.';
COMMENT ON COLUMN speed_to_lead.source   IS 'Channel of the call, Unattributed if no rule matched.';
COMMENT ON COLUMN speed_to_lead.calls    IS 'Number of inbound calls that may be leads.';
COMMENT ON COLUMN speed_to_lead.reached  IS 'Number of these whose caller was reached.';
COMMENT ON COLUMN speed_to_lead.median_s IS 'Seconds within which half of the reached callers were reached, in '
                                            'business hours. NULL: none was reached.';
COMMENT ON COLUMN speed_to_lead.p90_s    IS 'Seconds within which nine of ten reached callers were reached, in '
                                            'business hours. NULL: none was reached.';

-- ------------------------------------------------------------------------------------------------------ journey_funnel

-- Each month by source, and ALL for the company. Ratios are of sums, never averages of ratios.
CREATE OR REPLACE VIEW journey_funnel AS
SELECT month, min(journey_metrics.time) AS time,
       coalesce(source, 'ALL')                                       AS source,
       sum(touches)::bigint                                          AS touches,
       sum(answered)::bigint                                         AS answered,
       sum(booked)::bigint                                           AS booked,
       sum(visited)::bigint                                          AS visited,
       sum(repaired)::bigint                                         AS repaired,
       sum(paid)::bigint                                             AS paid,
       sum(returning_customers)::bigint                              AS returning_customers,
       (sum(touches) - sum(returning_customers))::bigint             AS new_customers,
       sum(booked_returning)::bigint                                 AS booked_returning,
       (sum(booked) - sum(booked_returning))::bigint                 AS booked_new,
       sum(cost)                                                     AS cost,
       sum(revenue_gross)                                            AS revenue_gross,
       sum(revenue40)                                                AS revenue40,
       sum(booked) / nullif(sum(touches), 0)                         AS booking_rate,
       sum(repaired) / nullif(sum(booked), 0)                        AS repair_rate,
       sum(cost) / nullif(sum(booked), 0)                            AS cost_per_booked,
       sum(cost) / nullif(sum(repaired), 0)                          AS cost_per_repair,
       sum(revenue_gross) / nullif(sum(cost), 0)                     AS roas
FROM journey_metrics
GROUP BY GROUPING SETS ((month, source), (month));

COMMENT ON VIEW   journey_funnel                     IS 'From touch to money, one row per month of the touch and source, '
                                                        'and one for ALL.';
COMMENT ON COLUMN journey_funnel.month               IS 'Month of the touches, its first day.';
COMMENT ON COLUMN journey_funnel.time                IS 'Noon of the first of the month in the time zone of the '
                                                        'business. Chart and filter on this one.';
COMMENT ON COLUMN journey_funnel.source              IS 'Channel of the touches, or ALL for the whole company.';
COMMENT ON COLUMN journey_funnel.touches             IS 'Number of touches.';
COMMENT ON COLUMN journey_funnel.answered            IS 'Touches known to be answered.';
COMMENT ON COLUMN journey_funnel.booked              IS 'Touches that led to a job.';
COMMENT ON COLUMN journey_funnel.visited             IS 'Touches that led to a unit (a service visit).';
COMMENT ON COLUMN journey_funnel.repaired            IS 'Touches that led to a repair.';
COMMENT ON COLUMN journey_funnel.paid                IS 'Touches whose jobs were paid more than 0 in all.';
COMMENT ON COLUMN journey_funnel.returning_customers IS 'Touches whose number had a job before.';
COMMENT ON COLUMN journey_funnel.new_customers       IS 'All other touches, including those without a number.';
COMMENT ON COLUMN journey_funnel.booked_returning    IS 'Booked touches whose number had a job before.';
COMMENT ON COLUMN journey_funnel.booked_new          IS 'The other booked touches.';
COMMENT ON COLUMN journey_funnel.cost                IS 'Total cost of the source in the month, money: the cost of '
                                                        'monthly_metrics.';
COMMENT ON COLUMN journey_funnel.revenue_gross       IS 'Amount paid for the jobs of the touches, whenever paid, '
                                                        'money.';
COMMENT ON COLUMN journey_funnel.revenue40           IS 'The share of this amount left after technician and fixed '
                                                        'costs, money, exact to six decimals.';
COMMENT ON COLUMN journey_funnel.booking_rate        IS 'booked / touches, a ratio. NULL: no touches.';
COMMENT ON COLUMN journey_funnel.repair_rate         IS 'repaired / booked, a ratio. NULL: none booked.';
COMMENT ON COLUMN journey_funnel.cost_per_booked     IS 'Cost per booked touch, cost / booked, money. NULL: none booked.';
COMMENT ON COLUMN journey_funnel.cost_per_repair     IS 'Cost per repair, cost / repaired, money. NULL: no repair.';
COMMENT ON COLUMN journey_funnel.roas                IS 'Return on ad spend, revenue_gross / cost, a ratio. NULL: no '
                                                        'cost.';

-- ------------------------------------------------------------------------------------------------------- jobs_matched

-- Jobs by the source in the CRM and the source of the touch, by the month of the job. Every job is in exactly one row.
CREATE OR REPLACE VIEW jobs_matched AS
WITH job AS (
    SELECT date_trunc('month', metric_date::timestamp)::date AS month, source,
           coalesce(source_matched, 'none')                  AS source_matched,
           CASE WHEN matched_by = 'uuid'          THEN 'by link'
                WHEN matched_by IS NOT NULL       THEN 'by number'
                WHEN source <> 'Unattributed'     THEN 'CRM only'
                ELSE 'none' END                              AS known,
           jobs.paid
    FROM jobs
)
SELECT month, (month + time '12:00') AT TIME ZONE business.timezone AS time, source, source_matched, known,
       count(*) AS jobs, sum(paid) AS paid
FROM job
LEFT JOIN business ON true
GROUP BY month, business.timezone, source, source_matched, known;

COMMENT ON VIEW   jobs_matched                IS 'Jobs and money by the source in the CRM and the source of the '
                                                 'touch. Every job is in exactly one row.';
COMMENT ON COLUMN jobs_matched.month          IS 'Month in which the jobs count, its first day. NULL: jobs that do '
                                                 'not count.';
COMMENT ON COLUMN jobs_matched.time           IS 'Noon of the first of the month in the time zone of the business. NULL: '
                                                 'no month, or no row in business, which the first publish writes.';
COMMENT ON COLUMN jobs_matched.source         IS 'Channel in the CRM.';
COMMENT ON COLUMN jobs_matched.source_matched IS 'Channel of the touch that the jobs came from, none without a touch.';
COMMENT ON COLUMN jobs_matched.known          IS 'How the channel is known: by link, by number, CRM only, none.';
COMMENT ON COLUMN jobs_matched.jobs           IS 'Number of jobs.';
COMMENT ON COLUMN jobs_matched.paid           IS 'Amount paid for these jobs, whenever paid, money.';

-- ------------------------------------------------------------------------------------------------------ data_freshness

CREATE OR REPLACE VIEW data_freshness AS
WITH last_run AS (
    SELECT run_id, finished_at FROM sync_runs WHERE status = 'ok' ORDER BY finished_at DESC, run_id DESC LIMIT 1
)
SELECT feed, table_name, rows, last_date,
       (now() AT TIME ZONE business.timezone)::date - last_date AS age_days,
       last_export_at, exports,
       last_run.run_id                                          AS last_run_id,
       last_run.finished_at                                     AS last_run_at
FROM feed_status
LEFT JOIN business ON true
LEFT JOIN last_run ON true;

COMMENT ON VIEW   data_freshness                IS 'Age of the data, one row per feed.';
COMMENT ON COLUMN data_freshness.feed           IS 'Name of the feed in the rules.';
COMMENT ON COLUMN data_freshness.table_name     IS 'Table with its rows. NULL: the feed is not published as a table.';
COMMENT ON COLUMN data_freshness.rows           IS 'Number of accepted rows, one per key.';
COMMENT ON COLUMN data_freshness.last_date      IS 'Greatest business day among its rows. NULL: no rows, or rows '
                                                   'without dates.';
COMMENT ON COLUMN data_freshness.age_days       IS 'Days from last_date to today in the time zone of the business, '
                                                   'negative for a future date. NULL: no last_date, or no row in '
                                                   'business, which the first publish writes.';
COMMENT ON COLUMN data_freshness.last_export_at IS 'Moment the newest of its exports was made or saved. NULL: no '
                                                   'export yet.';
COMMENT ON COLUMN data_freshness.exports        IS 'Number of different exports in the lake.';
COMMENT ON COLUMN data_freshness.last_run_id    IS 'The last run that published. NULL: none yet.';
COMMENT ON COLUMN data_freshness.last_run_at    IS 'Moment that run finished. NULL: none yet.';

-- -------------------------------------------------------------------------------------------------------- run_findings

-- The part of sync_runs.detail that dashboards may read: findings of checks, and nothing else.
CREATE OR REPLACE VIEW run_findings AS
SELECT run_id, finished_at, finding.code, finding.severity, finding.message, finding.rows,
       run_id = (SELECT run_id FROM sync_runs WHERE status = 'ok' ORDER BY finished_at DESC, run_id DESC LIMIT 1) AS latest
FROM sync_runs
CROSS JOIN LATERAL jsonb_to_recordset(CASE WHEN jsonb_typeof(detail -> 'findings') = 'array'
                                           THEN detail -> 'findings' ELSE '[]'::jsonb END)
    AS finding (code varchar, severity varchar, message text, rows bigint);

COMMENT ON VIEW   run_findings             IS 'Findings of the checks of each run, one row per run and finding. A run '
                                              'without findings has no row.';
COMMENT ON COLUMN run_findings.run_id      IS 'The run.';
COMMENT ON COLUMN run_findings.finished_at IS 'Moment the run ended. NULL: the run was interrupted.';
COMMENT ON COLUMN run_findings.code        IS 'Short stable name of the finding, such as undeclared-source.';
COMMENT ON COLUMN run_findings.severity    IS 'error, warning or info.';
COMMENT ON COLUMN run_findings.message     IS 'Problem and next step. No customer data.';
COMMENT ON COLUMN run_findings.rows        IS 'Number of rows affected.';
COMMENT ON COLUMN run_findings.latest      IS 'True: of the last run that published. NULL: no run has published yet.';
