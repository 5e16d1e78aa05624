#!/usr/bin/env escript
%%! +S 2:2
%% Basho's Bitcask, measured inside Erlang's virtual machine, since a call into it from another
%% process would measure the pipe between them. What it does is that of workload.c, as far as
%% it goes; every value that is read is compared.
%%
%%   escript bench/erlang_bitcask.escript SOURCE DIRECTORY KEYS VALUE_SIZE ROUND
%%
%% SOURCE is a built copy of bitcask, its ebin or _build directories below it. It prints lines of
%% JSON such as bench/report.h describes, of the part "main".

-mode(compile).

main([Source, Directory, Keys, ValueSize, Round]) ->
    Paths = filelib:wildcard(filename:join(Source, "**/ebin")),
    ok = code:add_pathsa(Paths),
    {module, bitcask} = code:ensure_loaded(bitcask),
    erlang:put(round, Round),
    run(Directory, list_to_integer(Keys), list_to_integer(ValueSize));
main(_) ->
    io:format(standard_error,
              "usage: erlang_bitcask.escript SOURCE DIRECTORY KEYS VALUE_SIZE ROUND~n", []),
    halt(2).

run(Directory, Count, Size) ->
    Filler = binary:copy(<<16#5a>>, Size - 16),
    Before = anonymous(),
    Store = open(Directory),
    Ids = lists:seq(0, Count - 1),
    rate("fill", Count, fun() -> [ok = put(Store, Id, 0, Filler) || Id <- Ids] end),
    note("memory", (anonymous() - Before) / Count, "B/key"),
    rand:seed(exsss, 1),
    rate("get", Count, fun() -> repeat(Count, fun(_) ->
        Id = rand:uniform(Count) - 1,
        {ok, <<Id:64, 0:64, Filler/binary>>} = bitcask:get(Store, key(Id))
    end) end),
    rate("absent", Count, fun() -> repeat(Count, fun(I) ->
        not_found = bitcask:get(Store, key(Count + I))
    end) end),
    rate("dirty", 3 * Count, fun() -> repeat(3 * Count, fun(I) ->
        ok = put(Store, rand:uniform(Count) - 1, I, Filler)
    end) end),
    ok = bitcask:close(Store),
    Merging = open(Directory), % it merges what is open, but for the file that it appends to
    time("merge", fun() -> ok = bitcask:merge(Directory) end),
    ok = bitcask:close(Merging),
    time("reopen", fun() ->
        Again = open(Directory),
        {ok, <<0:64, _:64, Filler/binary>>} = bitcask:get(Again, key(0)),
        ok = bitcask:close(Again)
    end).

open(Directory) ->
    Store = bitcask:open(Directory, [read_write, {sync_strategy, none}]),
    true = is_reference(Store),
    Store.

key(Id) -> erlang:md5(<<Id:64>>).

put(Store, Id, Generation, Filler) ->
    bitcask:put(Store, key(Id), <<Id:64, Generation:64, Filler/binary>>).

repeat(0, _) -> ok;
repeat(I, Work) -> Work(I), repeat(I - 1, Work).

microseconds(Work) ->
    {Time, _} = timer:tc(Work),
    max(Time, 1).

rate(Metric, Count, Work) -> note(Metric, Count * 1000 / microseconds(Work), "k/s").
time(Metric, Work) -> note(Metric, microseconds(Work) / 1000, "ms").

note(Metric, Value, Unit) ->
    io:format("{\"part\": \"main\", \"round\": ~s, \"engine\": \"erlang\", \"metric\": \"~s\", "
              "\"value\": ~.4f, \"unit\": \"~s\"}~n", [get(round), Metric, Value * 1.0, Unit]).

%% Bytes of anonymous memory of this process.
anonymous() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [Kilobytes]} = re:run(Status, "RssAnon:\\s*(\\d+)", [{capture, [1], list}]),
    1024 * list_to_integer(Kilobytes).
