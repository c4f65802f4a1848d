DROP INDEX cards_by_status;
DROP INDEX audit_by_object;
