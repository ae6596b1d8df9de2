-- wrk's result as one line of JSON, in microseconds. The first argument is a connection's pause between requests, in ms.
function init(args)
  local pause = tonumber(args[1] or "0")
  if pause > 0 then
    delay = function() return pause end
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"errors":%d,"p50Us":%d,"p99Us":%d}\n',
    summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50),
    latency:percentile(99)))
end
