DROP TABLE api_keys;
DROP TABLE outbox;
DROP TABLE cryptograms;
DROP TABLE tokens;
DROP TABLE cards;
DROP TABLE registrations;
DROP TABLE notifications;
DROP TABLE deliveries;
