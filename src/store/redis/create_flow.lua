-- KEYS: the flow, the list of its owner's flows. ARGV: prefix of flows, id, expires_at, version, completed, body, milliseconds to
-- keep it, how many to keep, and the subject if there is one. Returns whether it was created.
if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
end
redis.call('HSET', KEYS[1], 'expires_at', ARGV[3], 'version', ARGV[4], 'completed', ARGV[5], 'body', ARGV[6])
if ARGV[9] then
    redis.call('HSET', KEYS[1], 'subject', ARGV[9])
end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('RPUSH', KEYS[2], ARGV[2])
for _ = 1, redis.call('LLEN', KEYS[2]) - tonumber(ARGV[8]) do
    redis.call('DEL', ARGV[1] .. redis.call('LPOP', KEYS[2]))
end
-- The list lasts as long as the last of its flows.
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[7]) then
    redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
return 1
