-- KEYS: the counter. ARGV: now, free failures, hard stop, milliseconds to remember it, a new generation, and until when the next attempt is
-- locked after the free failures, after one more, and so on; empty if it is not. Returns {'counted', generation, the lock it has set or ''}
-- if the attempt is allowed, {'locked', until} or {'stopped'} if not.
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures') or '0')
local locked_until = redis.call('HGET', KEYS[1], 'locked_until')
if failures >= tonumber(ARGV[3]) then
    return {'stopped'}
end
if locked_until and tonumber(ARGV[1]) < tonumber(locked_until) then
    return {'locked', locked_until}
end
failures = failures + 1
redis.call('HSET', KEYS[1], 'failures', failures)
redis.call('HSETNX', KEYS[1], 'generation', ARGV[5])
local beyond = failures - tonumber(ARGV[2])
local lock = beyond >= 0 and ARGV[math.min(6 + beyond, #ARGV)] or ''
if lock == '' then
    redis.call('HDEL', KEYS[1], 'locked_until')
else
    redis.call('HSET', KEYS[1], 'locked_until', lock)
end
if failures < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
else
    -- A stopped counter stays stopped until it is reset.
    redis.call('PERSIST', KEYS[1])
end
return {'counted', redis.call('HGET', KEYS[1], 'generation'), lock}
