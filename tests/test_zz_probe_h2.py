import subprocess, sys, os, time
from pathlib import Path
from conftest import *
def run(world, *a, **env):
    t=time.time()
    e={**world.environment(), "MLFLOW_HTTP_REQUEST_MAX_RETRIES":"0", **env}
    r=subprocess.run([str(Path(sys.executable).parent/"fielded"),*a,"-d",str(world.folder)],env=e,capture_output=True,text=True,cwd=world.folder)
    print("\n###",a,env,"->",r.returncode,f"{time.time()-t:.1f}s\nOUT:",r.stdout[:1500],"\nERR:",r.stderr[:1500])
    return r
def test_a(world, tmp_path):
    run(world,"score","--as-of","2026-03-02")
    run(world,"score","--as-of","2026-03-02","--json", FIELDED_TRACKING_URI="sqlite:////nowhere/deep/m.db")
    run(world,"score","--as-of","2026-03-02", FIELDED_TRACKING_URI="sqlite:////proc/nowhere/m.db")
    run(world,"score","--as-of","2026-03-02", FIELDED_TRACKING_URI="http://user:secretpw@127.0.0.1:9")
    run(world,"check","--as-of","2026-03-02", FIELDED_TRACKING_URI="http://user:secretpw@127.0.0.1:9")
    run(world,"score","--as-of","2026-03-02", FIELDED_TRACKING_URI="postgresql://user:secretpw@127.0.0.1:9/db?password=secretpw2")
    run(world,"score","--as-of","2026-03-02", FIELDED_TRACKING_URI="nosuch://user:secretpw@127.0.0.1:9/db?password=secretpw2")
    run(world,"score","--as-of","2026-03-02", FIELDED_ROOT="/nowhere/tables")
    (tmp_path/"file").write_text("x")
    run(world,"score","--as-of","2026-03-02", FIELDED_ROOT=str(tmp_path/"file"))
    run(world,"audit","find","WO-00000001", FIELDED_ROOT=str(tmp_path/"file"))
    run(world,"audit","find","WO-00000001", FIELDED_ROOT="/nowhere/tables")
    run(world,"check","--as-of","2026-03-02", FIELDED_ROOT="/nowhere/tables")
