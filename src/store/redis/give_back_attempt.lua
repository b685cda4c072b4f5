-- KEYS: the counter. ARGV: the generation, the lock that the attempt has set or '', hard stop, milliseconds to remember the counter. Returns
-- whether it was given back.
local kept = redis.call('HMGET', KEYS[1], 'generation', 'failures', 'locked_until')
if kept[1] ~= ARGV[1] or tonumber(kept[2] or '0') < 1 then
    return 0
end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', -1)
if kept[3] and kept[3] == ARGV[2] then
    redis.call('HDEL', KEYS[1], 'locked_until')
end
if failures < tonumber(ARGV[3]) and redis.call('PTTL', KEYS[1]) < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
