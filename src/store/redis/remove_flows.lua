-- KEYS: the list of the subject's flows. ARGV: prefix of flows, and the id that stays if there is one.
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    if id ~= ARGV[2] then
        redis.call('DEL', ARGV[1] .. id)
        redis.call('LREM', KEYS[1], 1, id)
    end
end
return 1
